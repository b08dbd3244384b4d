#![cfg_attr(fuzzing, no_main)]

fuzz::target!(terminal_text);
