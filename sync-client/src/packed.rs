//! Frames as the server packs them: one byte that says how, then the frame.
//!
//! **Invariant:** never more than [`FRAME_BYTES`] of a frame is unpacked, whatever it says of itself.

use protocol::frame::Encoding;

/// The largest frame taken, packed or not: a snapshot of a long reply, escaped.
pub const FRAME_BYTES: usize = 8 * 1024 * 1024;

/// What is no frame, or one that unpacks to more than is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// The text of a packed frame; `None`: it is packed in a way of the future.
pub fn unpack(message: &[u8]) -> Result<Option<String>, Unreadable> {
    match message.split_first() {
        Some((&Encoding::ZSTD, packed)) => {
            let text = zstd::bulk::decompress(packed, FRAME_BYTES).map_err(|_refused| Unreadable)?;
            String::from_utf8(text).map(Some).map_err(|_noise| Unreadable)
        }
        _other => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let packed = zstd::bulk::compress(text, 3).unwrap();
        [vec![Encoding::ZSTD], packed].concat()
    }

    #[test]
    fn a_packed_frame_reads_like_any_other_and_one_of_the_future_is_passed_over() {
        let text = r#"{"t":"ping","n":4,"head":141}"#;
        assert_eq!(unpack(&packed(text.as_bytes())), Ok(Some(text.to_owned())));
        for other in [&[][..], &[0x00], &[0x02, 1, 2, 3]] {
            assert_eq!(unpack(other), Ok(None));
        }
    }

    #[test]
    fn a_packed_frame_that_grows_past_the_bound_is_refused_and_so_is_noise() {
        let most = vec![b' '; FRAME_BYTES];
        assert_eq!(
            unpack(&packed(&most)).map(|text| text.map(|text| text.len())),
            Ok(Some(FRAME_BYTES))
        );
        let bomb = packed(&vec![b' '; FRAME_BYTES + 1]);
        assert!(bomb.len() < 4096, "{} bytes", bomb.len());
        assert_eq!(unpack(&bomb), Err(Unreadable));
        // one that does not say how large it is, and two in one
        let mut writer = zstd::stream::Encoder::new(vec![Encoding::ZSTD], 3).unwrap();
        std::io::Write::write_all(&mut writer, &vec![b' '; FRAME_BYTES + 1]).unwrap();
        assert_eq!(unpack(&writer.finish().unwrap()), Err(Unreadable));
        let one = packed(&most);
        assert_eq!(unpack(&[&one[..], &one[1..]].concat()), Err(Unreadable));
        for noise in [&[0x01, 0xff, 0x00][..], &packed(b"\xff\xfe"), &one[..40]] {
            assert_eq!(unpack(noise), Err(Unreadable), "{noise:?}");
        }
    }
}
