#![cfg_attr(fuzzing, no_main)]

fuzz::target!(part_response);
