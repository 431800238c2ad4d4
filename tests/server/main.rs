//! Claims about the server, made from outside over HTTP and sockets, against the real program on real stores.

#![expect(
    clippy::panic,
    reason = "a claim that does not hold ends its test by panicking"
)]
#![expect(
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "a claim is told in one piece and looks only for what it claims"
)]

mod admin;
mod alerts;
mod apple;
mod audit;
mod bearers;
mod breached;
mod certified;
mod connecting;
mod crashes;
mod csrf;
mod dev;
mod device;
mod device_code;
mod devices;
mod documented;
mod email_change;
mod event_streams;
mod exports;
mod forgotten;
mod forms;
mod github;
mod guessing;
mod hints;
mod histories;
mod hostile;
mod keys;
mod leaving;
mod letter;
mod letters;
mod limits;
mod lying_hosts;
mod many_nodes;
mod messages;
mod microsoft;
mod native_sign_in;
mod operations;
mod packed_frames;
mod pages;
mod passkeys;
mod places;
mod plans;
mod planted;
mod proofs;
mod providers;
mod refreshing;
mod resetting;
mod runs;
mod same_answers;
mod second_step;
mod secrets;
mod session_socket;
mod sessions;
mod settings;
mod sign_in;
mod sign_up;
mod simulated;
mod sockets;
mod staying;
mod storms;
mod strangers;
mod stream;
mod sync;
mod tokens;
mod work;
