//! The receiving half of SMTP (RFC 5321): one task for each connection, bounded lines and letters, pipelining.

use crate::Shelf;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The largest letter taken, announced by SIZE (RFC 1870).
const LETTER_BYTES: usize = 10 * 1024 * 1024;
/// The longest line taken. RFC 5321 §4.5.3.1.6 asks for 1,000; HTML letters break that rule.
const LINE_BYTES: u64 = 64 * 1024;

pub(crate) async fn listen(listener: TcpListener, shelf: Arc<Shelf>) {
    // An accept fails when one peer hangs up early; the next may be sound.
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let shelf = Arc::clone(&shelf);
            tokio::spawn(async move {
                // A sender that hangs up is its own affair.
                let _ = Visit::new(stream, shelf).serve().await;
            });
        }
    }
}

/// What a command leads to.
enum Next {
    Say(&'static str),
    Refuse(String),
    Receive,
    End,
}

struct Visit {
    stream: BufReader<TcpStream>,
    shelf: Arc<Shelf>,
    from: Option<String>,
    to: Vec<String>,
}

impl Visit {
    fn new(stream: TcpStream, shelf: Arc<Shelf>) -> Self {
        Self {
            stream: BufReader::new(stream),
            shelf,
            from: None,
            to: Vec::new(),
        }
    }

    async fn serve(mut self) -> std::io::Result<()> {
        self.say("220 localhost mailbox ready").await?;
        let mut line = Vec::new();
        while self.read_line(&mut line).await? {
            match self.obey(&String::from_utf8_lossy(&line)) {
                Next::Say(reply) => self.say(reply).await?,
                Next::Refuse(reply) => self.say(&reply).await?,
                Next::Receive => self.receive().await?,
                Next::End => return self.say("221 localhost closing").await,
            }
        }
        Ok(())
    }

    fn obey(&mut self, line: &str) -> Next {
        let line = line.trim_end();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.reset();
                Next::Say(
                    "250-localhost\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 PIPELINING",
                )
            }
            "HELO" => {
                self.reset();
                Next::Say("250 localhost")
            }
            "MAIL" => self.mail(rest),
            "RCPT" => self.recipient(rest),
            "DATA" if self.from.is_some() && !self.to.is_empty() => Next::Receive,
            "DATA" => Next::Say("503 first MAIL and RCPT"),
            "RSET" => {
                self.reset();
                Next::Say("250 OK")
            }
            "NOOP" => Next::Say("250 OK"),
            "VRFY" => Next::Say("252 send it and see"),
            "QUIT" => Next::End,
            _ => Next::Say("502 this command is not known here"),
        }
    }

    fn mail(&mut self, rest: &str) -> Next {
        let size = rest
            .split_whitespace()
            .find_map(|word| word.to_ascii_uppercase().strip_prefix("SIZE=")?.parse().ok());
        if size.is_some_and(|size: usize| size > LETTER_BYTES) {
            return Next::Say("552 this letter is larger than 10 MiB");
        }
        match path(rest, "FROM:") {
            Some(from) => {
                self.reset();
                self.from = Some(from);
                Next::Say("250 OK")
            }
            None => Next::Say("501 write MAIL FROM:<address>"),
        }
    }

    fn recipient(&mut self, rest: &str) -> Next {
        if self.from.is_none() {
            return Next::Say("503 first MAIL");
        }
        match path(rest, "TO:") {
            Some(to) if !to.is_empty() => {
                if let Some(reply) = self.shelf.refusal(&to) {
                    return Next::Refuse(reply);
                }
                self.to.push(to);
                Next::Say("250 OK")
            }
            _ => Next::Say("501 write RCPT TO:<address>"),
        }
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    /// The letter itself, up to the line with a single dot; dots that were doubled for the way are taken back
    /// (RFC 5321 §4.5.2).
    async fn receive(&mut self) -> std::io::Result<()> {
        self.say("354 go on, end with a line that is a dot").await?;
        let mut letter = Vec::new();
        let mut line = Vec::new();
        let mut is_too_large = false;
        loop {
            if !self.read_line(&mut line).await? {
                return Ok(());
            }
            if line == b".\r\n" || line == b".\n" {
                break;
            }
            let content = line.strip_prefix(b".").unwrap_or(&line);
            is_too_large |= letter.len() + content.len() > LETTER_BYTES;
            if !is_too_large {
                letter.extend_from_slice(content);
            }
        }
        let to = std::mem::take(&mut self.to);
        let from = self.from.take().unwrap_or_default();
        if is_too_large {
            return self.say("552 this letter is larger than 10 MiB").await;
        }
        self.shelf.put(&letter, &from, to);
        self.say("250 OK, kept").await
    }

    /// Reads one line with its end. False when the sender is gone or the line passes the bound.
    async fn read_line(&mut self, line: &mut Vec<u8>) -> std::io::Result<bool> {
        line.clear();
        (&mut self.stream)
            .take(LINE_BYTES)
            .read_until(b'\n', line)
            .await?;
        Ok(line.ends_with(b"\n"))
    }

    async fn say(&mut self, reply: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await
    }
}

/// The address in `FROM:<address> …`; empty for the null sender.
fn path(rest: &str, keyword: &str) -> Option<String> {
    let rest = rest.trim_start();
    let after = rest.get(keyword.len()..).filter(|_| {
        rest.get(..keyword.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(keyword))
    })?;
    let (address, _) = after.trim_start().strip_prefix('<')?.split_once('>')?;
    Some(address.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::Mailbox;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn talk(mailbox: &Mailbox, said: &str) -> String {
        let address = mailbox.smtp_url();
        let mut stream = TcpStream::connect(address.trim_start_matches("smtp://"))
            .await
            .unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_pipelined_letter_is_kept_with_its_dots() {
        let mailbox = Mailbox::start().await.unwrap();
        let said = "EHLO x\r\nMAIL FROM:<a@b.c> SIZE=10\r\nRCPT TO:<ana@example.org>\r\nDATA\r\n\
            Subject: hi\r\n\r\n..dot\r\n\r\n.\r\nQUIT\r\n";
        let answer = talk(&mailbox, said).await;
        assert!(
            answer.contains("354 ")
                && answer.contains("250 OK, kept")
                && answer.ends_with("221 localhost closing\r\n")
        );
        let letters = mailbox.wait_for("Ana@Example.org", 1).await.unwrap();
        assert_eq!(letters.first().unwrap().text.trim(), ".dot");
        assert!(mailbox.letters_to("ben@example.org").is_empty());
    }

    #[tokio::test]
    async fn commands_out_of_order_and_large_letters_are_refused() {
        let mailbox = Mailbox::start().await.unwrap();
        let answer = talk(
            &mailbox,
            "DATA\r\nRCPT TO:<a@b.c>\r\nMAIL FROM:<a@b.c> SIZE=99999999\r\nMAIL a@b.c\r\nFLY\r\nQUIT\r\n",
        )
        .await;
        let codes: Vec<&str> = answer.lines().filter_map(|line| line.get(..3)).collect();
        assert_eq!(codes, ["220", "503", "503", "552", "501", "502", "221"]);
    }
}
