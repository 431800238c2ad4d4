//! A storm: a person goes on writing on three devices while servers, stores, networks and programs fail by a plan that is
//! drawn from a seed. Afterwards everything is mended, and nothing may be lost, doubled or left hanging.

mod aftermath;
mod plan;
mod world;

pub use plan::{Plan, Step};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use world::World;

/// What a storm did, for the report.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tally {
    pub texts: usize,
    pub replies: usize,
    /// How often each trouble was made.
    pub troubles: BTreeMap<String, usize>,
    /// From the end of the troubles until every device was in step and every reply had ended.
    pub healed_in: Duration,
}

/// Lives through the plan. What does not hold afterwards ends the test, and says the plan's seed.
pub async fn storm(plan: &Plan) -> Tally {
    let mut world = World::begin().await;
    for (pause, step) in &plan.steps {
        tokio::time::sleep(*pause).await;
        world.carry_out(step).await;
    }
    world.mend().await;
    let mended = Instant::now();
    aftermath::wait_for_calm(&world, plan.seed).await;
    let healed_in = mended.elapsed();
    let replies = aftermath::judge(&world, plan.seed).await;
    Tally {
        texts: world.owed.len(),
        replies,
        troubles: plan.troubles(),
        healed_in,
    }
}
