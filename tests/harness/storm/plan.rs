//! What happens in a storm, drawn from a seed: the same seed, the same plan. How it meets the programs' own timing is
//! chance all the same.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const DEVICES: usize = 3;
pub(super) const NODES: usize = 2;
pub(super) const SESSIONS: usize = 3;

const STEPS: usize = 36;

/// What a trouble befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Node(usize),
    Postgres,
    Redis,
}

/// A state that lasts until it is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The program was killed (SIGKILL).
    Gone,
    /// The program stands still (SIGSTOP): connections stay and nothing answers.
    Still,
    /// Connections are reset, new ones refused.
    Unreachable,
    /// Each chunk takes so many milliseconds longer.
    Slow(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A device writes; the reply takes `pace` milliseconds for each word.
    Say {
        device: usize,
        session: usize,
        pace: u64,
    },
    Rename {
        device: usize,
        session: usize,
    },
    Archive {
        device: usize,
        session: usize,
        archived: bool,
    },
    /// Stops whatever reply is being made.
    Stop {
        device: usize,
    },
    Begin(Place, Trouble),
    Mend(Place),
    /// Cuts what is connected; new connections pass.
    Cut(Place),
    /// The device's program ends without a word, and is started again.
    CrashDevice(usize),
    /// Redis loses everything that it keeps (FLUSHALL).
    ForgetRedis,
    /// One of PostgreSQL's processes is killed: it cuts everybody off and recovers from its log.
    CrashPostgres,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub steps: Vec<(Duration, Step)>,
}

impl Plan {
    /// `owns_postgres`: nobody else uses the cluster, so it may crash.
    pub fn draw(seed: u64, owns_postgres: bool) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut standing = BTreeMap::new();
        let mut steps = Vec::new();
        while steps.len() < STEPS {
            let pause = Duration::from_millis(dice.random_range(0..180));
            let step = if dice.random_bool(0.5) {
                act(&mut dice)
            } else {
                befall(&mut dice, &mut standing, owns_postgres)
            };
            // A server cannot come back before its stores are there; they are mended first.
            if let Step::Mend(Place::Node(_)) = step {
                for store in [Place::Postgres, Place::Redis] {
                    if standing.remove(&store).is_some() {
                        steps.push((Duration::ZERO, Step::Mend(store)));
                    }
                }
            }
            steps.push((pause, step));
        }
        Self { seed, steps }
    }

    /// How often each trouble is made.
    pub fn troubles(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (_, step) in &self.steps {
            if let Some(name) = name(step) {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

fn act(dice: &mut StdRng) -> Step {
    let (device, session) = (dice.random_range(0..DEVICES), dice.random_range(0..SESSIONS));
    match dice.random_range(0..10) {
        0..=6 => Step::Say {
            device,
            session,
            pace: *[0, 5, 40, 150].get(dice.random_range(0..4)).unwrap_or(&0),
        },
        7 => Step::Rename { device, session },
        8 => Step::Archive {
            device,
            session,
            archived: dice.random_bool(0.5),
        },
        _ => Step::Stop { device },
    }
}

fn befall(dice: &mut StdRng, standing: &mut BTreeMap<Place, Trouble>, owns_postgres: bool) -> Step {
    let place = match dice.random_range(0..8) {
        0..=2 => Place::Node(0),
        3 | 4 => Place::Node(1),
        5 => Place::Postgres,
        6 => Place::Redis,
        _ => return strike(dice, owns_postgres),
    };
    if standing.remove(&place).is_some() {
        return Step::Mend(place);
    }
    let trouble = match (dice.random_range(0..5), place) {
        (0, Place::Node(_) | Place::Redis) => Trouble::Gone,
        (1, Place::Node(_) | Place::Redis) => Trouble::Still,
        (2, _) => Trouble::Slow(dice.random_range(5..60)),
        (3, _) => Trouble::Unreachable,
        _ => return Step::Cut(place),
    };
    standing.insert(place, trouble);
    Step::Begin(place, trouble)
}

fn strike(dice: &mut StdRng, owns_postgres: bool) -> Step {
    match dice.random_range(0..4) {
        0 => Step::ForgetRedis,
        1 if owns_postgres => Step::CrashPostgres,
        _ => Step::CrashDevice(dice.random_range(0..DEVICES)),
    }
}

fn name(step: &Step) -> Option<&'static str> {
    Some(match step {
        Step::Begin(Place::Node(_), Trouble::Gone) => "server killed",
        Step::Begin(Place::Node(_), Trouble::Still) => "server stood still",
        Step::Begin(Place::Node(_), Trouble::Unreachable) => "server unreachable",
        Step::Begin(Place::Node(_), Trouble::Slow(_)) => "server slow",
        Step::Begin(Place::Redis, Trouble::Gone) => "Redis killed",
        Step::Begin(Place::Redis, Trouble::Still) => "Redis stood still",
        Step::Begin(Place::Redis, _) => "Redis unreachable or slow",
        Step::Begin(Place::Postgres, _) => "PostgreSQL unreachable or slow",
        Step::Cut(_) => "connections cut",
        Step::CrashDevice(_) => "device crashed",
        Step::ForgetRedis => "Redis emptied",
        Step::CrashPostgres => "PostgreSQL crashed",
        Step::Say { .. } | Step::Rename { .. } | Step::Archive { .. } | Step::Stop { .. } | Step::Mend(_) => {
            return None;
        }
    })
}
