//! What happens in a storm, drawn from a seed: the same seed, the same plan. How it meets the programs' own timing is
//! chance all the same.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) const DEVICES: usize = 3;
pub(super) const NODES: usize = 2;
pub(super) const SESSIONS: usize = 3;

const STEPS: usize = 44;
/// How much is said into the doomed session, before its end and after.
const LAST_WORDS: usize = 6;

/// What a trouble befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Node(usize),
    Postgres,
    Redis,
    /// What a device's files lie on.
    Disk(usize),
}

/// A state that lasts until it is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The program was killed (SIGKILL).
    Gone,
    /// The program stands still (SIGSTOP): connections stay and nothing answers.
    Still,
    /// The network on the way to it stands still: connections stay and nothing passes.
    Stalled,
    /// Connections are reset, new ones refused.
    Unreachable,
    /// Each chunk takes so many milliseconds longer.
    Slow(u64),
    /// Nothing more can be written.
    Full,
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
    /// A device says something into the doomed session.
    SayLast {
        device: usize,
    },
    /// A device deletes the doomed session; it is sent ten seconds later, wherever the storm is by then.
    Delete {
        device: usize,
    },
    /// Stops whatever reply is being made.
    Stop {
        device: usize,
    },
    Begin(Place, Trouble),
    Mend(Place),
    /// Cuts what is connected; new connections pass.
    Cut(Place),
    /// The device's program is killed (SIGKILL) so long after it was given so many texts to write, and is started again
    /// over its disk.
    KillDevice {
        device: usize,
        session: usize,
        texts: usize,
        after: Duration,
    },
    /// PostgreSQL is dumped, as each night.
    BackUp,
    /// PostgreSQL is restored from the last dump. Everybody's history is another one from then on.
    Restore,
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
        let mut backups = Backups::default();
        let mut steps = Vec::new();
        while steps.len() < STEPS {
            let pause = Duration::from_millis(dice.random_range(0..180));
            let step = if dice.random_bool(0.5) {
                act(&mut dice)
            } else {
                befall(&mut dice, &mut standing, &mut backups, owns_postgres)
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
        doom(seed, &mut steps);
        Self { seed, steps }
    }

    /// How often each trouble is made.
    pub fn troubles(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        let mut gone = BTreeSet::new();
        for (_, step) in &self.steps {
            let mut count = |name: &str| *counts.entry(name.to_owned()).or_default() += 1;
            if let Some(name) = name(step) {
                count(name);
            }
            match step {
                Step::Begin(place @ Place::Node(_), Trouble::Gone) => {
                    gone.insert(*place);
                    if gone.len() == NODES {
                        count("every server killed");
                    }
                }
                Step::Mend(place) => {
                    gone.remove(place);
                }
                _ => {}
            }
        }
        counts
    }
}

/// Puts the doomed session's story among the steps. By dice of its own, so that a seed's other steps stay what they were.
fn doom(seed: u64, steps: &mut Vec<(Duration, Step)>) {
    let mut dice = StdRng::seed_from_u64(seed ^ u64::MAX);
    let device = |dice: &mut StdRng| dice.random_range(0..DEVICES);
    let early = dice.random_range(0..steps.len() / 4);
    let by = device(&mut dice);
    steps.insert(early, (Duration::ZERO, Step::Delete { device: by }));
    for _ in 0..LAST_WORDS {
        let at = dice.random_range(0..steps.len());
        let by = device(&mut dice);
        steps.insert(at, (Duration::ZERO, Step::SayLast { device: by }));
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

fn befall(
    dice: &mut StdRng,
    standing: &mut BTreeMap<Place, Trouble>,
    backups: &mut Backups,
    owns_postgres: bool,
) -> Step {
    let place = match dice.random_range(0..12) {
        0..=2 => Place::Node(0),
        3 | 4 => Place::Node(1),
        5 => Place::Postgres,
        6 => Place::Redis,
        7 => Place::Disk(dice.random_range(0..DEVICES)),
        _ => return strike(dice, backups, owns_postgres),
    };
    if standing.remove(&place).is_some() {
        return Step::Mend(place);
    }
    let trouble = match (dice.random_range(0..5), place) {
        (_, Place::Disk(_)) => Trouble::Full,
        (0, Place::Node(_) | Place::Redis) => Trouble::Gone,
        (1, _) => Trouble::Still,
        (4, Place::Node(_) | Place::Redis) if dice.random_bool(0.5) => Trouble::Stalled,
        (2, _) => Trouble::Slow(dice.random_range(5..60)),
        (3, _) => Trouble::Unreachable,
        _ => return Step::Cut(place),
    };
    standing.insert(place, trouble);
    Step::Begin(place, trouble)
}

/// A device takes three other histories in ten minutes, and stops at the fourth until it is asked again.
const RESTORES: usize = 3;

/// What was backed up and brought back so far.
#[derive(Default)]
struct Backups {
    is_taken: bool,
    restored: usize,
}

impl Backups {
    fn next(&mut self) -> Step {
        if self.is_taken && self.restored < RESTORES {
            self.is_taken = false;
            self.restored += 1;
            Step::Restore
        } else {
            self.is_taken = true;
            Step::BackUp
        }
    }
}

fn strike(dice: &mut StdRng, backups: &mut Backups, owns_postgres: bool) -> Step {
    match dice.random_range(0..8) {
        0 => Step::ForgetRedis,
        1 if owns_postgres => Step::CrashPostgres,
        2 | 3 => backups.next(),
        _ => Step::KillDevice {
            device: dice.random_range(0..DEVICES),
            session: dice.random_range(0..SESSIONS),
            texts: dice.random_range(0..6),
            after: Duration::from_micros(dice.random_range(0..40_000)),
        },
    }
}

fn name(step: &Step) -> Option<&'static str> {
    Some(match step {
        Step::Begin(Place::Node(_), Trouble::Gone) => "server killed",
        Step::Begin(Place::Node(_), Trouble::Still) => "server stood still",
        Step::Begin(Place::Node(_), Trouble::Stalled) => "the way to a server stood still",
        Step::Begin(Place::Node(_), Trouble::Unreachable | Trouble::Full) => "server unreachable",
        Step::Begin(Place::Node(_), Trouble::Slow(_)) => "server slow",
        Step::Begin(Place::Redis, Trouble::Gone) => "Redis killed",
        Step::Begin(Place::Redis, Trouble::Still) => "Redis stood still",
        Step::Begin(Place::Redis, Trouble::Stalled) => "the way to Redis stood still",
        Step::Begin(Place::Redis, _) => "Redis unreachable or slow",
        Step::Begin(Place::Postgres, Trouble::Still) => "the way to PostgreSQL stood still",
        Step::Begin(Place::Postgres, _) => "PostgreSQL unreachable or slow",
        Step::Cut(_) => "connections cut",
        Step::Begin(Place::Disk(_), _) => "a device's disk full",
        Step::KillDevice { .. } => "device killed",
        Step::Restore => "PostgreSQL restored from a backup",
        Step::ForgetRedis => "Redis emptied",
        Step::CrashPostgres => "PostgreSQL crashed",
        Step::Delete { .. } => "a session deleted",
        Step::SayLast { .. }
        | Step::Say { .. }
        | Step::Rename { .. }
        | Step::Archive { .. }
        | Step::Stop { .. }
        | Step::BackUp
        | Step::Mend(_) => {
            return None;
        }
    })
}
