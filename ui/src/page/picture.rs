//! A QR code: what a camera reads where a person would have to type.

use protocol::view::Picture;
use qrcode::{Color, QrCode, QrResult};

/// Of a text, as one path of squares.
pub fn picture(text: &str) -> QrResult<Picture> {
    let code = QrCode::new(text)?;
    let side = code.width();
    let colors = code.to_colors();
    let rows = colors.chunks(side).enumerate();
    let squares = rows.flat_map(|(row, colors)| {
        let columns = colors.iter().enumerate();
        let dark = columns.filter(|(_, color)| **color == Color::Dark);
        dark.map(move |(column, _)| format!("M{column} {row}h1v1h-1z"))
    });
    Ok(Picture {
        side,
        path: squares.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_picture_whose_corner_is_dark_and_what_is_too_long_is_none() {
        let drawn = picture("https://compymac.dev/device").unwrap();
        assert!(
            drawn.path.starts_with("M0 0h1v1h-1zM1 0h1v1h-1z"),
            "{}",
            drawn.path
        );
        assert!(drawn.side >= 21);
        assert!(picture(&"x".repeat(10_000)).is_err());
    }
}
