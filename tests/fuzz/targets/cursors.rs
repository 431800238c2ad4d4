//! Any text as `claims::cursors` has it.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::cursors(text));
