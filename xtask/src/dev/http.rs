//! Just enough HTTP to use the product's own door on loopback: one request, one connection.

use anyhow::Context as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A letter is waited for by one long request.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// `url` is `http://host:port`. HTTP/1.0, so that the answer ends where the connection does.
pub fn ask(method: &str, url: &str, path: &str, json: Option<&str>) -> anyhow::Result<Answer> {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).with_context(|| format!("reaching {url}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = json.unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nOrigin: http://{host}\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .with_context(|| format!("{method} {path} at {url}"))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer without an end of its head")?;
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .context("an answer without a status")?;
    Ok(Answer {
        status,
        body: body.to_owned(),
    })
}

/// The first string of that name in a JSON text. For values without escapes: codes and tokens.
pub fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
    let (value, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    Some(value)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_field_is_found_where_it_is_text() {
        let json = r#"[{"id":1,"html":null,"code": "7KM2QX9T"}]"#;
        assert_eq!(super::field(json, "code"), Some("7KM2QX9T"));
        assert_eq!(super::field(json, "html"), None);
        assert_eq!(super::field(json, "binding"), None);
    }
}
