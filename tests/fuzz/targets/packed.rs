//! Any bytes as `claims::packed` has them.
#![no_main]

libfuzzer_sys::fuzz_target!(|message: &[u8]| fuzz::packed(message));
