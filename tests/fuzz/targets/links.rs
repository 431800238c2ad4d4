//! Any text as `claims::links` has it.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::links(text));
