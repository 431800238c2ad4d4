//! Any text as `claims::searches` has it.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::searches(text));
