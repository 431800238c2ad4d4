//! Large frames, packed for clients that take such. One compressor for each thread and none for a socket, so that an idle
//! socket holds nothing of it.
//!
//! **Invariant:** nothing is unpacked here: what a client sends packed is refused like any binary message.

use axum::body::Bytes;
use protocol::frame::Encoding;
use protocol::limits::PACK_BYTES;
use std::cell::RefCell;
use zstd::bulk::Compressor;

/// The cheapest of the usual levels: text shrinks to a third, at some hundred megabytes a second.
const LEVEL: i32 = 1;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(LEVEL).ok());
}

/// The frame as a binary message. `None`: it is better sent as it is.
pub fn pack(text: &str) -> Option<Bytes> {
    if text.len() <= PACK_BYTES {
        return None;
    }
    let packed =
        COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(text.as_bytes()).ok())?;
    if packed.len() + 1 >= text.len() {
        return None;
    }
    let mut message = Vec::with_capacity(packed.len() + 1);
    message.push(Encoding::ZSTD);
    message.extend(packed);
    metrics::counter!("frames_packed_total").increment(1);
    Some(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_large_and_shrinks_is_packed() {
        let text = "words of a message ".repeat(200);
        let packed = pack(&text).unwrap();
        let (kind, rest) = packed.split_first().unwrap();
        assert_eq!(*kind, Encoding::ZSTD);
        assert_eq!(zstd::bulk::decompress(rest, text.len()).unwrap(), text.as_bytes());
        assert!(packed.len() < text.len() / 3);
        assert_eq!(pack("{}"), None);
        assert_eq!(pack(&text[..PACK_BYTES]), None);
        let noise: String = (0..PACK_BYTES * 2)
            .map(|_| char::from(rand::random_range(b' '..=b'~')))
            .collect();
        assert!(pack(&noise).is_none_or(|packed| packed.len() < noise.len()));
    }
}
