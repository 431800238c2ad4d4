//! Any text as `claims::frames` has it.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::frames(text));
