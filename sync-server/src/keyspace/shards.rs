//! Shards: the servers that Redis's keys lie on. A Redis that is no cluster is one shard with all of them.

use super::Partition;
use anyhow::Context as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion,
    PushInfo, RedisResult, Value,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a shard may take to be reached, and to answer.
const SOON: Duration = Duration::from_secs(1);
/// How long what was sent may stay unacknowledged.
#[cfg(target_os = "linux")]
const GONE: Duration = Duration::from_secs(5);

/// One server, and this node's connection to it, which is made when it is first needed.
pub struct Shard {
    address: String,
    client: Client,
    commands: ConnectionManager,
}

/// Who has what.
#[derive(Clone, Debug, PartialEq)]
pub struct Shards {
    /// By the last slot of each range.
    ranges: BTreeMap<u16, Range>,
    is_one: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Range {
    first: u16,
    owner: Arc<Shard>,
}

/// Every shard that was heard of, by address.
pub struct Known {
    seeds: Vec<Arc<Shard>>,
    others: Mutex<BTreeMap<String, Arc<Shard>>>,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl PartialEq for Shard {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

/// A machine that is gone says nothing: what it does not acknowledge in time breaks the connection, and another is made.
/// Elsewhere the system's own patience applies, a quarter of an hour and more.
fn deaf() -> TcpSettings {
    let settings = TcpSettings::default();
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(GONE);
    settings
}

impl Shard {
    fn new(info: ConnectionInfo) -> RedisResult<Arc<Self>> {
        let address = info.addr().to_string();
        // pub/sub of shards is heard as pushes, which the older protocol has none of
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings).set_tcp_settings(deaf()))?;
        let retries = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(SOON))
            .set_response_timeout(Some(SOON))
            .set_number_of_retries(1);
        let commands = ConnectionManager::new_lazy_with_config(client.clone(), retries)?;
        Ok(Arc::new(Self {
            address,
            client,
            commands,
        }))
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its connection for commands, which all share.
    pub fn commands(&self) -> ConnectionManager {
        self.commands.clone()
    }

    /// A connection of one's own, and what Redis says there unasked.
    pub async fn connect(&self) -> RedisResult<(MultiplexedConnection, mpsc::UnboundedReceiver<PushInfo>)> {
        let (heard, pushes) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(SOON))
            .set_response_timeout(Some(SOON))
            .set_push_sender(heard);
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok((connection, pushes))
    }

    /// Of a cluster: its ranges of slots, each with its owner's address. `None`: it belongs to none.
    async fn ranges(&self) -> RedisResult<Option<Vec<(u16, u16, String)>>> {
        let answer = redis::cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(&mut self.commands())
            .await;
        match answer {
            Ok(Value::Array(ranges)) => Ok(Some(
                ranges.iter().filter_map(|range| self.range(range)).collect(),
            )),
            Ok(_) => Ok(Some(Vec::new())),
            Err(error) if error.to_string().contains("cluster support disabled") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `[first, last, [host, port, …], replicas…]`.
    fn range(&self, range: &Value) -> Option<(u16, u16, String)> {
        let Value::Array(parts) = range else { return None };
        let [first, last, Value::Array(owner), ..] = parts.as_slice() else {
            return None;
        };
        let [host, port, ..] = owner.as_slice() else {
            return None;
        };
        let host: Option<String> = redis::from_redis_value_ref(host).ok()?;
        let port: u16 = redis::from_redis_value_ref(port).ok()?;
        let address = self.address_of(host.as_deref().unwrap_or_default(), port);
        Some((
            redis::from_redis_value_ref(first).ok()?,
            redis::from_redis_value_ref(last).ok()?,
            address,
        ))
    }

    /// An address as this shard calls it: without a host, it is this shard's own.
    fn address_of(&self, host: &str, port: u16) -> String {
        let own = self.address.rsplit_once(':').map_or("", |(host, _)| host);
        format!(
            "{}:{port}",
            if host.is_empty() || host == "?" { own } else { host }
        )
    }
}

impl Shards {
    /// No shard has any key: Redis is away.
    pub fn none() -> Self {
        Self {
            ranges: BTreeMap::new(),
            is_one: false,
        }
    }

    pub fn is_one(&self) -> bool {
        self.is_one
    }

    pub fn owner(&self, slot: u16) -> Option<&Arc<Shard>> {
        let (_, range) = self.ranges.range(slot..).next()?;
        (range.first <= slot).then_some(&range.owner)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Shard>> {
        let mut seen: Vec<&str> = Vec::new();
        self.ranges
            .values()
            .map(|range| &range.owner)
            .filter(move |shard| {
                let is_new = !seen.contains(&shard.address());
                seen.push(shard.address());
                is_new
            })
    }

    /// The partitions that lie on a shard.
    pub fn partitions(&self, address: &str) -> Vec<Partition> {
        let is_there = |partition: &Partition| {
            self.owner(partition.slot())
                .is_some_and(|owner| owner.address() == address)
        };
        Partition::all().filter(is_there).collect()
    }
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (last, range) in &self.ranges {
            write!(f, "{}-{last} {} ", range.first, range.owner.address())?;
        }
        Ok(())
    }
}

impl Known {
    pub fn parse(addresses: &str) -> anyhow::Result<Self> {
        let seeds = addresses.split(',').map(|address| {
            let info = address.trim().into_connection_info()?;
            Shard::new(info)
        });
        let seeds = seeds.collect::<RedisResult<_>>().context(
            "REDIS_URL must look like redis://host:port/, or several of these separated by commas",
        )?;
        Ok(Self {
            seeds,
            others: Mutex::default(),
        })
    }

    pub fn seeds(&self) -> usize {
        self.seeds.len()
    }

    fn others(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Shard>>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks one after the other who has what, until one knows.
    pub async fn look(&self) -> anyhow::Result<Shards> {
        let others: Vec<Arc<Shard>> = self.others().values().cloned().collect();
        let mut failure = anyhow::anyhow!("no shard has any key");
        for shard in self.seeds.iter().chain(&others) {
            match shard.ranges().await {
                Ok(None) => return Ok(one(shard.clone())),
                Ok(Some(ranges)) if ranges.is_empty() => {}
                Ok(Some(ranges)) => return self.many(shard, ranges),
                Err(error) => failure = anyhow::Error::new(error).context(shard.address().to_owned()),
            }
        }
        Err(failure)
    }

    fn many(&self, witness: &Shard, found: Vec<(u16, u16, String)>) -> anyhow::Result<Shards> {
        let mut ranges = BTreeMap::new();
        for (first, last, address) in found {
            let owner = self.at(&address, witness)?;
            ranges.insert(last, Range { first, owner });
        }
        let is_there = |address: &String| ranges.values().any(|range| range.owner.address() == address);
        self.others().retain(|address, _| is_there(address));
        Ok(Shards {
            ranges,
            is_one: false,
        })
    }

    /// The shard at an address that `witness` named; it is reached as `witness` was, with the same user and password.
    pub fn at(&self, address: &str, witness: &Shard) -> RedisResult<Arc<Shard>> {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "6379"));
        let port = port.parse().unwrap_or(6379);
        let address = witness.address_of(host, port);
        if let Some(seed) = self.seeds.iter().find(|seed| seed.address() == address) {
            return Ok(seed.clone());
        }
        if let Some(known) = self.others().get(&address) {
            return Ok(known.clone());
        }
        let host = address.rsplit_once(':').map_or(host, |(host, _)| host).to_owned();
        let info = witness.client.get_connection_info().clone();
        let shard = Shard::new(info.set_addr(ConnectionAddr::Tcp(host, port)))?;
        self.others().insert(address, shard.clone());
        Ok(shard)
    }
}

fn one(owner: Arc<Shard>) -> Shards {
    Shards {
        ranges: BTreeMap::from([(u16::MAX, Range { first: 0, owner })]),
        is_one: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(shards: &Shards, slot: u16) -> Option<&str> {
        shards.owner(slot).map(|shard| shard.address())
    }

    #[tokio::test]
    async fn each_slot_has_its_owner_or_none() {
        let known = Known::parse("redis://:secret@one:7000/, redis://:secret@two:7000/").unwrap();
        let witness = known.seeds.first().unwrap().clone();
        let found = vec![
            (0, 5460, "10.0.0.1:7000".to_owned()),
            (8192, 16_382, "two:7000".to_owned()),
            (16_383, 16_383, "10.0.0.1:7000".to_owned()),
        ];
        let shards = known.many(&witness, found).unwrap();
        assert_eq!(address(&shards, 5460), Some("10.0.0.1:7000"));
        assert_eq!((address(&shards, 5461), address(&shards, 8191)), (None, None));
        assert_eq!(address(&shards, 8192), Some("two:7000"));
        assert_eq!(address(&shards, 16_383), Some("10.0.0.1:7000"));
        assert_eq!(shards.all().count(), 2);
        assert!(
            Arc::ptr_eq(shards.owner(9000).unwrap(), known.seeds.last().unwrap()),
            "one that was named already is the same"
        );
        // 128 slots each: 0 to 5460 hold 42 whole ranges
        let shares = (
            shards.partitions("10.0.0.1:7000").len(),
            shards.partitions("two:7000").len(),
        );
        assert!((42..=44).contains(&shares.0) && shares.1 >= 63, "{shares:?}");
    }

    #[tokio::test]
    async fn a_shard_that_names_no_host_means_its_own() {
        let known = Known::parse("redis://:secret@one:7000/").unwrap();
        let witness = known.seeds.first().unwrap().clone();
        for (said, meant) in [
            (":7001", "one:7001"),
            ("?:7001", "one:7001"),
            ("fd00::2:7001", "fd00::2:7001"),
        ] {
            let shard = known.at(said, &witness).unwrap();
            assert_eq!(shard.address(), meant);
            let settings = shard.client.get_connection_info().redis_settings();
            assert_eq!(settings.password(), Some("secret"));
        }
    }
}
