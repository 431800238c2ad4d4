//! A connection that is let go of in good order: what the other side is still sending is read for a while and thrown away.
//!
//! Else the system would answer by a reset whatever was not read or comes later, and a reset takes from the other side what it has
//! not read yet: our last words, which say why we left.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// As much as is thrown away of what somebody goes on sending: four frames at their longest.
const MOST: usize = 1024 * 1024;
/// How long in all, which carries that much over a slow line.
const LONGEST: Duration = Duration::from_secs(10);
/// Who sends nothing for so long, and does not end it either, is gone.
const SILENT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Lingering {
    /// Taken away by the end alone.
    stream: Option<TcpStream>,
    /// The other side has ended it, or it broke.
    is_over: bool,
}

impl Lingering {
    pub const fn over(stream: TcpStream) -> Self {
        Self {
            stream: Some(stream),
            is_over: false,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(stream))
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.remaining();
        let read = ready!(self.stream()?.poll_read(context, buffer));
        let is_end = before > 0 && buffer.remaining() == before;
        self.is_over |= is_end || read.is_err();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream()?.poll_write(context, bytes));
        self.is_over |= written.is_err();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream()?.poll_write_vectored(context, pieces));
        self.is_over |= written.is_err();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take()
            && !self.is_over
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(see_out(stream));
        }
    }
}

/// Says that nothing more comes from here, and reads until nothing more comes from there.
async fn see_out(mut stream: TcpStream) {
    let ending = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut thrown = 0;
        while thrown < MOST && matches!(timeout(SILENT, stream.readable()).await, Ok(Ok(()))) {
            match throw_away(&stream) {
                Ok(0) => return,
                Ok(count) => thrown += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_broken) => return,
            }
        }
    };
    // whoever is still not done finds the connection broken
    let _ = timeout(LONGEST, ending).await;
}

/// Its room is not a part of the task, of which there may be thousands.
fn throw_away(stream: &TcpStream) -> io::Result<usize> {
    stream.try_read(&mut [0; 8 * 1024])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    async fn connected() -> (Lingering, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (theirs, ours) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Lingering::over(ours.expect("ours").0), theirs.expect("theirs"))
    }

    #[tokio::test]
    async fn who_is_still_sending_hears_our_last_words_and_no_reset() {
        let (mut ours, mut theirs) = connected().await;
        let some = vec![b'x'; 32 * 1024];
        theirs.write_all(&some).await.expect("sent");
        ours.write_all(b"enough").await.expect("said");
        drop(ours);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.expect("an end and no reset");
        assert_eq!(heard, b"enough");
        theirs.write_all(&some).await.expect("sent to the end");
        theirs.shutdown().await.expect("an end of their own");
    }

    #[tokio::test]
    async fn who_sends_without_end_is_cut_off() {
        let (ours, mut theirs) = connected().await;
        drop(ours);
        let much = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while theirs.write_all(&much).await.is_ok() {
            sent += much.len();
            // beyond what is thrown away there is what the system itself takes
            assert!(sent < MOST + 64 * 1024 * 1024, "nobody ended it");
        }
    }
}
