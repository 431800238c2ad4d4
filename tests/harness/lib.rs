//! The words that tests are written in, named by what a person does or what can break.
//!
//! A test starts a [`Stack`] (the real programs on a database of its own), lets [`Person`]s act through [`Client`]s,
//! [`Socket`]s, devices and screens, and breaks things with a [`Gate`]. Nothing here knows the inside of a program.

#![expect(
    clippy::panic,
    reason = "a harness ends the test at once and says what it waited for"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for one kind and passes over all others"
)]

mod archive;
mod authenticator;
mod breach_list;
mod certified_provider;
mod client;
#[cfg(test)]
mod corpus;
mod database;
mod device;
mod device_program;
mod event_stream;
mod gate;
mod headless;
mod hush;
mod key_list;
pub mod mailbox;
mod offspring;
mod open_id_provider;
mod passkey_holder;
mod person;
mod places_file;
mod pooler;
mod postgres_server;
mod programs;
mod proof_maker;
mod redis_cluster;
mod redis_server;
mod screen;
mod server;
mod socket;
mod stack;
mod storm;
mod wait;

pub use archive::Archive;
pub use authenticator::Authenticator;
pub use breach_list::{BreachList, Mood};
pub use certified_provider::CertifiedProvider;
pub use client::{Answer, Client, PageForm, SESSION_COOKIE, mutation};
pub use device::DeviceClient;
pub use device_program::{Ask, DeviceProgram, Said};
pub use event_stream::EventStream;
pub use gate::{Gate, Heads, Passed};
pub use headless::Headless;
pub use hush::{keep_code, keep_secret};
pub use key_list::{KEYS_OF_THE_WINDOW, KeyList};
pub use mailbox::{Letter, Mailbox};
pub use open_id_provider::{Fault, Notice, OpenIdProvider, Visitor};
pub use passkey_holder::PasskeyHolder;
pub use person::{Person, Sent, browser, native};
pub use places_file::{PlacesFile, place};
pub use postgres_server::PostgresServer;
pub use programs::{Ended, free_port, resident, root, run_to_end, run_with_arguments, seed, ui_dist, xtask};
pub use proof_maker::{ProofMaker, unsigned};
pub use redis_cluster::RedisCluster;
pub use redis_server::RedisServer;
pub use screen::{
    Body, Dock, Looks, Network, Notifications, Panel, SCHEMES, SIZES, Screen, Seat, Shown, Sight, holds,
};
pub use server::Server;
pub use socket::{Reply, Socket, Welcome};
pub use stack::{Stack, StackBuilder, install_crypto};
pub use storm::{Plan, Step, Tally, storm};
pub use wait::{PATIENCE, soon, until, within};
