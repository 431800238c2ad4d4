//! Which devices there are, what people do, and what becomes of requests, answers, frames, devices and the server.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What a device keeps of the server's rows. What was written on it outlives it always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything that came, over its end.
    Whole,
    /// The same, but the messages of a few sessions only.
    Windowed,
    /// Nothing: it begins anew each time.
    Page,
}

#[derive(Clone, Debug)]
pub enum Deed {
    Create,
    Send(usize),
    Rename(usize),
    Archive(usize),
    Delete(usize),
    Open(usize),
    /// The device has no room for a session's messages any more.
    GiveUp(usize),
    /// Pages further back, while changes arrive.
    Earlier(usize),
    /// The oldest request is made and answered.
    Serve,
    /// It never arrives.
    Lose,
    /// It arrives; its answer does not.
    LoseAnswer,
    /// It arrives; its answer takes long.
    Delay,
    /// A late answer comes.
    Arrive,
    /// The server sends what is new over the socket, or hints at it.
    Push,
    Hint,
    /// The oldest frame on the line arrives, is lost, comes once more at the end, or changes places.
    Frame,
    LoseFrame,
    DoubleFrame,
    SwapFrames,
    CutSocket,
    /// A person wants it tried now.
    Wake,
    Pass(i64),
    /// The clock of the device is set wrong, by years.
    Shift(i64),
    /// The device dies before the step after this many, and starts again from its disk: before an effect is carried out, or
    /// before or after a plan is written down.
    Crash(usize),
    /// The server ends a reply that was being made.
    Finish(usize),
    /// The server forgets what lies behind.
    Compact,
    /// A backup is made; the server is restored from the last one.
    Backup,
    Restore,
    /// Writes to this session fail from here on.
    Curse(usize),
}

#[derive(Clone, Debug)]
pub struct Script {
    pub devices: Vec<Kind>,
    /// Each with the device that it befalls, counted round.
    pub deeds: Deeds,
}

pub type Deeds = Vec<(usize, Deed)>;

/// Devices at most: one of each kind, and so many more.
const DEVICES: usize = 5;

pub const TEN_YEARS: i64 = 315_576_000_000;

fn person() -> impl Strategy<Value = Deed> {
    let which = 0_usize..4;
    prop_oneof![
        3 => Just(Deed::Create),
        6 => which.clone().prop_map(Deed::Send),
        2 => which.clone().prop_map(Deed::Rename),
        2 => which.clone().prop_map(Deed::Archive),
        2 => which.clone().prop_map(Deed::Delete),
        2 => which.clone().prop_map(Deed::Open),
        2 => which.clone().prop_map(Deed::Earlier),
        1 => which.prop_map(Deed::GiveUp),
    ]
}

fn network() -> impl Strategy<Value = Deed> {
    prop_oneof![
        32 => Just(Deed::Serve),
        2 => Just(Deed::Lose),
        3 => Just(Deed::LoseAnswer),
        6 => Just(Deed::Delay),
        2 => Just(Deed::Arrive),
        6 => Just(Deed::Push),
        1 => Just(Deed::Hint),
        5 => Just(Deed::Frame),
        2 => Just(Deed::LoseFrame),
        1 => Just(Deed::DoubleFrame),
        2 => Just(Deed::SwapFrames),
        1 => Just(Deed::CutSocket),
        1 => Just(Deed::Wake),
        4 => (1_i64..20_000).prop_map(Deed::Pass),
    ]
}

fn trouble() -> impl Strategy<Value = Deed> {
    let which = 0_usize..4;
    prop_oneof![
        6 => (0_usize..5).prop_map(Deed::Crash),
        6 => which.clone().prop_map(Deed::Finish),
        2 => Just(Deed::Compact),
        2 => Just(Deed::Backup),
        1 => Just(Deed::Restore),
        1 => which.prop_map(Deed::Curse),
    ]
}

fn deed() -> impl Strategy<Value = Vec<Deed>> {
    prop_oneof![6 => person(), 16 => network(), 3 => trouble()].prop_map(|deed| vec![deed])
}

/// What chance alone would seldom put together.
fn misfortune() -> impl Strategy<Value = Vec<Deed>> {
    let which = 0_usize..8;
    prop_oneof![
        3 => which.clone().prop_map(outrun),
        2 => (which.clone(), 1_usize..3).prop_map(|(which, after)| crash_while_applying(which, after)),
        1 => which.prop_map(outlive),
    ]
}

/// A read is so long on its way that the device falls behind what the server still has, and begins anew before it.
fn outrun(which: usize) -> Vec<Deed> {
    let mut deeds = vec![Deed::Serve; 4];
    deeds.extend([Deed::Earlier(which), Deed::Delay]);
    deeds.extend((which..which + 4).map(Deed::Finish));
    deeds.extend([Deed::Compact, Deed::Hint, Deed::Frame]);
    deeds.extend(vec![Deed::Serve; 3]);
    deeds.extend([Deed::Arrive, Deed::Arrive]);
    deeds
}

/// A write is accepted, and its answer is so long on its way that the server is restored meanwhile, and the device has
/// begun anew in the other history.
fn outlive(which: usize) -> Vec<Deed> {
    let mut deeds = vec![Deed::Serve; 5];
    deeds.extend([Deed::Send(which), Deed::Delay, Deed::Restore]);
    deeds.extend(vec![Deed::Serve; 5]);
    deeds.push(Deed::Arrive);
    deeds
}

fn crash_while_applying(which: usize, after: usize) -> Vec<Deed> {
    let mut deeds = vec![Deed::Serve; 5];
    deeds.extend([
        Deed::Finish(which),
        Deed::Push,
        Deed::Crash(after),
        Deed::Frame,
        Deed::Frame,
    ]);
    deeds
}

/// One of each kind, and up to two more of any.
fn devices() -> impl Strategy<Value = Vec<Kind>> {
    let each = [Kind::Whole, Kind::Page, Kind::Windowed];
    let any = prop::sample::select(each.to_vec());
    prop::collection::vec(any, 0..=DEVICES - each.len()).prop_map(move |more| [&each[..], &more[..]].concat())
}

fn befall(deeds: impl Strategy<Value = Vec<Deed>>) -> impl Strategy<Value = Deeds> {
    (0..DEVICES, deeds).prop_map(|(index, deeds)| deeds.into_iter().map(|deed| (index, deed)).collect())
}

fn steps() -> impl Strategy<Value = Deeds> {
    befall(prop_oneof![8 => deed(), 1 => misfortune()])
}

fn of(steps: impl Strategy<Value = Vec<Deeds>>) -> impl Strategy<Value = Script> {
    (devices(), steps).prop_map(|(devices, steps)| Script {
        devices,
        deeds: steps.concat(),
    })
}

pub fn script(most: usize) -> impl Strategy<Value = Script> {
    of(prop::collection::vec(steps(), 1..most))
}

/// With clocks that jump while the devices run.
pub fn script_with_wrong_clocks(most: usize) -> impl Strategy<Value = Script> {
    let shift = prop_oneof![Just(TEN_YEARS), Just(-TEN_YEARS)].prop_map(|years| vec![Deed::Shift(years)]);
    let steps = prop_oneof![20 => steps(), 1 => befall(shift)];
    of(prop::collection::vec(steps, 1..most))
}

/// The same script for the same seed, always.
pub fn seeded(seed: u64, length: usize) -> Script {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let script = of(prop::collection::vec(steps(), length));
    script.new_tree(&mut runner).unwrap().current()
}
