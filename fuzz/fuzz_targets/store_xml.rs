#![cfg_attr(fuzzing, no_main)]

fuzz::target!(store_xml);
