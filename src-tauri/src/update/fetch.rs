//! Fetches what is told of a new version, and the version itself: by https, from wherever that leads, and never more than is wanted.
//!
//! **Invariant:** what is fetched stays in memory.

use super::Refusal;
use crate::config::is_secure;
use reqwest::redirect::{Attempt, Policy};
use std::time::Duration;
use url::Url;

const CONNECT: Duration = Duration::from_secs(10);
/// Releases are kept elsewhere than their address says, and that again.
const HOPS: usize = 5;

/// The whole body, of `most` bytes at most.
pub async fn fetch(at: &Url, most: usize, within: Duration) -> Result<Vec<u8>, Refusal> {
    if !is_secure(at) {
        return Err(Refusal::Insecure);
    }
    sync_client::install_crypto();
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(within)
        .redirect(Policy::custom(follow))
        .user_agent(concat!("CompyMac/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(unreachable)?;
    let mut answer = client.get(at.clone()).send().await.map_err(unreachable)?;
    if !answer.status().is_success() {
        tracing::info!(status = %answer.status(), host = at.host_str(), "no update could be fetched");
        return Err(Refusal::Unreachable);
    }
    let mut all = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
        if all.len() + piece.len() > most {
            return Err(Refusal::TooLarge);
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if !is_secure(attempt.url()) {
        attempt.error(Refusal::Insecure)
    } else if attempt.previous().len() > HOPS {
        attempt.stop()
    } else {
        attempt.follow()
    }
}

fn unreachable(error: reqwest::Error) -> Refusal {
    if error.is_redirect() {
        return Refusal::Insecure;
    }
    // The address may be of a kind that lets in whoever has it.
    tracing::info!(error = %error.without_url(), "no update could be fetched");
    Refusal::Unreachable
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const SOON: Duration = Duration::from_secs(20);

    /// A server on this computer that answers each path with these bytes, head and all.
    pub async fn serve(answers: BTreeMap<&'static str, Vec<u8>>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = vec![0; 4096];
                let count = stream.read(&mut asked).await.unwrap_or_default();
                let asked = String::from_utf8_lossy(asked.get(..count).unwrap_or_default()).into_owned();
                let path = asked.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = answers.get(path.as_str()).cloned();
                let answer =
                    answer.unwrap_or_else(|| b"HTTP/1.1 404 None\r\ncontent-length: 0\r\n\r\n".to_vec());
                // who has enough hangs up
                let _ = stream.write_all(&answer).await;
            }
        });
        Url::parse(&base).unwrap()
    }

    pub fn with_body(body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    fn led_to(address: &str) -> Vec<u8> {
        format!("HTTP/1.1 302 Found\r\nlocation: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .into_bytes()
    }

    #[tokio::test]
    async fn more_than_is_wanted_is_not_taken_whether_it_is_announced_or_not() {
        let endless = [
            &b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"[..],
            &b"a".repeat(200_000),
        ]
        .concat();
        let base = serve(BTreeMap::from([
            ("/endless", endless),
            ("/long", with_body(&b"a".repeat(200_000))),
            ("/fits", with_body(&[b'a'; 1000])),
        ]))
        .await;
        for path in ["endless", "long"] {
            let at = base.join(path).unwrap();
            assert_eq!(fetch(&at, 1000, SOON).await, Err(Refusal::TooLarge), "{path}");
        }
        assert_eq!(
            fetch(&base.join("fits").unwrap(), 1000, SOON)
                .await
                .unwrap()
                .len(),
            1000
        );
    }

    #[tokio::test]
    async fn a_bare_http_address_is_not_asked_nor_followed_to() {
        let base = serve(BTreeMap::from([
            ("/away", led_to("http://updates.example/latest.json")),
            ("/near", led_to("/there")),
            ("/there", with_body(b"it")),
            ("/round", led_to("/round")),
        ]))
        .await;
        let at = |path: &str| base.join(path).unwrap();
        let bare = Url::parse("http://updates.example/latest.json").unwrap();
        assert_eq!(fetch(&bare, 1000, SOON).await, Err(Refusal::Insecure));
        assert_eq!(fetch(&at("away"), 1000, SOON).await, Err(Refusal::Insecure));
        assert_eq!(fetch(&at("near"), 1000, SOON).await.unwrap(), b"it");
        assert_eq!(fetch(&at("round"), 1000, SOON).await, Err(Refusal::Unreachable));
        assert_eq!(fetch(&at("nothing"), 1000, SOON).await, Err(Refusal::Unreachable));
    }
}
