//! The frames of `/ws`, subprotocol `compymac.v1`: hints and live text. Everything that must not be lost goes by HTTP.

use crate::run::{At, Status};
use crate::sync::{Cursor, Seq, SyncPage};
use crate::{Code, DeviceId, MessageId, RunId, SessionId};
use serde::{Deserialize, Serialize};

/// The WebSocket subprotocol (RFC 6455 §1.9).
pub const SUBPROTOCOL: &str = "compymac.v1";

/// The header in which a client that can set one says its `hello` with the request already: the frame's JSON, of at most
/// [`HELLO_BYTES`](crate::limits::HELLO_BYTES) in visible ASCII. The server then speaks first.
pub const HELLO_HEADER: &str = "x-compymac-hello";

/// From a client. Unknown kinds are ignored; a frame that is no JSON closes with [`close::PROTOCOL`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum ClientFrame {
    /// The first frame, within 5 seconds, or before it in [`HELLO_HEADER`]. A browser proves itself with a ticket; a native client
    /// did so in the header.
    #[serde(rename = "hello")]
    Hello {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
        /// Where the device stands, for a server to use; nothing depends on it. The welcome always names the head, which the
        /// device compares with its own cursor: equal, there is nothing to pull; older, it pulls at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<Cursor>,
        /// How frames may be packed for this client. Only the server sends packed ones.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        enc: Vec<Encoding>,
    },
    /// Watch a run from the given place; without one, from its start.
    #[serde(rename = "run.attach")]
    Attach {
        run: RunId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<At>,
        /// Bytes of text the viewer has at `at`.
        #[serde(default)]
        bytes: u64,
    },
    #[serde(rename = "run.detach")]
    Detach { run: RunId },
    #[serde(rename = "run.cancel")]
    Cancel { run: RunId },
    /// A renewed access token, in band, so that streams outlive it.
    #[serde(rename = "auth")]
    Auth { token: String },
    #[serde(rename = "pong")]
    Pong { n: u64 },
}

/// How a frame is packed into a binary message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// [`Self::ZSTD`], then the frame's JSON as one zstd frame (RFC 8878).
    Zstd,
    /// A way of the future, which this build does not know.
    #[serde(other)]
    Other,
}

impl Encoding {
    /// The first byte of a binary message that is packed by zstd.
    pub const ZSTD: u8 = 0x01;
}

/// From the server. A client ignores kinds and fields that it does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum ServerFrame {
    #[serde(rename = "welcome")]
    Welcome {
        device: DeviceId,
        /// The head as a cursor: equal to the device's own, nothing is missing.
        head: Cursor,
        /// Milliseconds between pings; silence of 40 s means the connection is dead.
        ping: u32,
        /// Runs being made right now.
        live: Vec<LiveRun>,
    },
    /// Changes small enough to push. Applies only if `from` is the device's cursor; else pull.
    #[serde(rename = "sync")]
    Sync(SyncPage),
    /// There is something to pull.
    #[serde(rename = "head")]
    Head { epoch: crate::sync::Epoch, seq: Seq },
    /// A run has begun; viewers of its session attach.
    #[serde(rename = "run.start")]
    Start(LiveRun),
    /// The whole text up to `at`. With `rewind` it replaces text of a lost attempt.
    #[serde(rename = "run.snap")]
    Snap {
        run: RunId,
        at: At,
        text: String,
        rewind: bool,
    },
    /// More text. `offset` is in bytes of the attempt's text and equals what the viewer has, or it attaches again.
    #[serde(rename = "run.d")]
    Delta {
        run: RunId,
        at: At,
        offset: u64,
        text: String,
    },
    /// The end, exactly once. The committed message arrives as a change with `seq`.
    #[serde(rename = "run.end")]
    End { run: RunId, status: Status, seq: Seq },
    /// The access token expires in so many seconds.
    #[serde(rename = "auth.expiring")]
    AuthExpiring { within: u32 },
    #[serde(rename = "auth.ok")]
    AuthOk { expires_in: u32 },
    #[serde(rename = "ping")]
    Ping { n: u64, head: Seq },
    /// The server goes down, and serves on until then: reconnect at a random time within this. Who stays is closed with
    /// [`close::DRAIN`] at some time in the half as long after it.
    #[serde(rename = "drain")]
    Drain { within_ms: u32 },
    /// A refused frame; the connection goes on.
    #[serde(rename = "err")]
    Refused { code: Code, detail: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRun {
    pub run: RunId,
    pub message: MessageId,
    pub session: SessionId,
}

/// Close codes. Clients act on the hundred, so new codes stay compatible.
pub mod close {
    /// 40xx: reconnect now and resume.
    pub const DRAIN: u16 = 4000;
    pub const SLOW_CONSUMER: u16 = 4002;
    pub const NO_PONG: u16 = 4003;
    /// 41xx: back off first.
    pub const RATE_LIMITED: u16 = 4100;
    pub const OVERLOADED: u16 = 4101;
    pub const TOO_MANY: u16 = 4102;
    /// 42xx: renew the credential, then reconnect.
    pub const TOKEN_EXPIRED: u16 = 4200;
    pub const NO_HELLO: u16 = 4201;
    /// 43xx: stop and tell the person. The outbox is kept.
    pub const REVOKED: u16 = 4300;
    pub const PROTOCOL: u16 = 4302;
    pub const VERSION: u16 = 4303;
    pub const ORIGIN: u16 = 4305;

    /// What a client does about a close code.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Class {
        Reconnect,
        BackOff,
        Renew,
        Stop,
    }

    /// Any code outside 41xx–43xx, transport failures included, means: reconnect.
    pub const fn class(code: u16) -> Class {
        match code / 100 {
            41 => Class::BackOff,
            42 => Class::Renew,
            43 => Class::Stop,
            _ => Class::Reconnect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_as_the_protocol_writes_them() {
        let frame: ClientFrame = serde_json::from_str(
            r#"{"t":"run.attach","run":"018f0000-0000-7000-8000-000000000001","at":"1-118","bytes":5120}"#,
        )
        .unwrap();
        assert!(matches!(
            frame,
            ClientFrame::Attach {
                at: Some(At { attempt: 1, idx: 118 }),
                bytes: 5120,
                ..
            }
        ));
        assert_eq!(
            serde_json::to_string(&ServerFrame::Ping { n: 4, head: 141 }).unwrap(),
            r#"{"t":"ping","n":4,"head":141}"#
        );
        assert!(serde_json::from_str::<ClientFrame>(r#"{"t":"from.the.future"}"#).is_err());
        let hello: ClientFrame =
            serde_json::from_str(r#"{"t":"hello","enc":["zstd","of the future"]}"#).unwrap();
        assert!(matches!(hello, ClientFrame::Hello { enc, .. } if enc == [Encoding::Zstd, Encoding::Other]));
    }

    #[test]
    fn an_unknown_close_code_means_reconnect() {
        assert_eq!(close::class(1006), close::Class::Reconnect);
        assert_eq!(close::class(4299), close::Class::Renew);
        assert_eq!(close::class(4300), close::Class::Stop);
    }
}
