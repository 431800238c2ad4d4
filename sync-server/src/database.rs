//! PostgreSQL, reached directly or through a pooler that lends a connection for one transaction only.
//!
//! Behind such a pooler (PgBouncer with `pool_mode = transaction`) nothing that a session keeps outlives a transaction,
//! and a prepared statement is such a thing: sqlx prepares in one round trip and runs in the next, and the second may
//! reach a connection on which somebody else prepared. So there every statement runs inside of a transaction, its own if
//! it stands alone, and unnamed, so that it leaves nothing behind.
//! **Invariant:** but for the migrations, no statement reaches a connection other than through [`Pool`], [`Reader`] and
//! [`Transaction`].

mod lent;
mod migrations;

use crate::config::{Config, Pooler};
use anyhow::Context as _;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture};
use lent::{Connections, FRESH, Lent, PATIENCE};
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
};
use sqlx::{
    Connection as _, Describe, Either, Execute, Executor, PgConnection, Postgres, SqlSafeStr, SqlStr,
};
use std::str::FromStr as _;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Cheap to clone. As an executor it runs a statement alone, and takes all of what it gives.
#[derive(Clone, Debug)]
pub struct Pool {
    connections: Arc<Connections>,
    pooler: Pooler,
}

/// One transaction. Dropped without `commit`, it is undone.
#[derive(Debug)]
pub struct Transaction {
    inner: sqlx::Transaction<'static, Postgres>,
    pooler: Pooler,
    _turn: OwnedSemaphorePermit,
}

/// What a statement is run on whose rows are taken one by one.
#[derive(Debug)]
pub enum Reader {
    /// Its own connection.
    Lent(Lent),
    /// Behind a pooler.
    Transaction(Transaction),
}

impl Pool {
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(config.database_url.expose())
            .context("DATABASE_URL must look like postgres://user:password@host/database")?
            .application_name("compymac");
        let options = match config.database_pooler {
            Pooler::None => options,
            // a pooler refuses a session's parameters that it does not know; numbers cross in binary anyway
            Pooler::Transaction => options.extra_float_digits(None).statement_cache_capacity(0),
        };
        let inner = PgPoolOptions::new()
            .max_connections(config.database_connections)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                // asking each time would double the round trips
                let is_fresh = about.idle_for < FRESH;
                Box::pin(async move {
                    if !is_fresh {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await
            .context("reaching PostgreSQL at DATABASE_URL")?;
        Ok(Self {
            connections: Connections::new(inner, config.database_connections),
            pooler: config.database_pooler,
        })
    }

    /// For a statement whose rows are taken one by one.
    pub async fn reader(&self) -> sqlx::Result<Reader> {
        Ok(match self.pooler {
            Pooler::None => Reader::Lent(self.connections.lend().await?),
            Pooler::Transaction => Reader::Transaction(self.begin().await?),
        })
    }

    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        self.begin_uncut(None).await
    }

    /// A beginning is brought to its end even if whoever asked for it has gone. sqlx counts a transaction only once its
    /// `BEGIN` was answered: one that is given up before that would be handed on with its connection, and whatever the next
    /// one writes there alone would be acknowledged and never committed.
    async fn begin_uncut(&self, statement: Option<&'static str>) -> sqlx::Result<Transaction> {
        let connections = Arc::clone(&self.connections);
        let statement = statement.map(SqlSafeStr::into_sql_str);
        let begun = tokio::spawn(async move {
            let (connection, turn) = connections.lend().await?.into_parts();
            let inner = sqlx::Transaction::begin(connection, statement).await?;
            Ok::<_, sqlx::Error>((inner, turn))
        });
        let (inner, turn) = begun.await.map_err(|_ended| sqlx::Error::PoolClosed)??;
        Ok(Transaction {
            inner,
            pooler: self.pooler,
            _turn: turn,
        })
    }

    /// A statement by itself; behind a pooler, in a transaction of its own.
    async fn alone<'q>(&self, query: impl Execute<'q, Postgres> + 'q) -> sqlx::Result<Vec<Step>> {
        if self.pooler == Pooler::None {
            let mut lent = self.connections.lend().await?;
            let steps = lent.connection().fetch_many(query).try_collect().await?;
            lent.give_back();
            return Ok(steps);
        }
        let mut transaction = self.begin().await?;
        let steps = transaction.fetch_many(query).try_collect().await?;
        transaction.commit().await?;
        Ok(steps)
    }

    /// A transaction that reads one state of the database, whatever is written meanwhile.
    pub async fn snapshot(&self) -> sqlx::Result<Transaction> {
        self.begin_uncut(Some("begin isolation level repeatable read read only"))
            .await
    }
}

impl Transaction {
    pub async fn commit(self) -> sqlx::Result<()> {
        self.inner.commit().await
    }

    pub async fn rollback(self) -> sqlx::Result<()> {
        self.inner.rollback().await
    }
}

/// Brings the schema up to date, on a connection of its own: the lock that lets one node do it outlasts transactions.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let (url, setting) = match &config.database_migration_url {
        Some(url) => (url, "DATABASE_MIGRATION_URL"),
        None => (&config.database_url, "DATABASE_URL"),
    };
    let options = PgConnectOptions::from_str(url.expose())
        .with_context(|| format!("{setting} must look like postgres://user:password@host/database"))?;
    let mut connection = PgConnection::connect_with(&options)
        .await
        .with_context(|| format!("reaching PostgreSQL at {setting}"))?;
    migrations::all()?
        .run(&mut connection)
        .await
        .context("applying the migrations")?;
    connection.close().await.context("applying the migrations")
}

/// A statement that is prepared without a name where names would be left behind.
struct Prepared<E> {
    query: E,
    pooler: Pooler,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Prepared<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.pooler == Pooler::None && self.query.persistent()
    }
}

type Step = Either<PgQueryResult, PgRow>;

impl<'c> Executor<'c> for &'c mut Transaction {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pooler = self.pooler;
        (&mut *self.inner).fetch_many(Prepared { query, pooler })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pooler = self.pooler;
        (&mut *self.inner).fetch_optional(Prepared { query, pooler })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        (&mut *self.inner).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'c: 'e,
    {
        (&mut *self.inner).describe(sql)
    }
}

impl<'c> Executor<'c> for &'c Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        stream::once(self.alone(query))
            .map_ok(|steps| stream::iter(steps.into_iter().map(sqlx::Result::Ok)))
            .try_flatten()
            .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move {
            if self.pooler == Pooler::None {
                let mut lent = self.connections.lend().await?;
                let row = lent.connection().fetch_optional(query).await?;
                lent.give_back();
                return Ok(row);
            }
            let mut transaction = self.begin().await?;
            let row = transaction.fetch_optional(query).await?;
            transaction.commit().await?;
            Ok(row)
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        async move {
            let mut lent = self.connections.lend().await?;
            lent.connection().prepare_with(sql, parameters).await
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'c: 'e,
    {
        async move {
            let mut lent = self.connections.lend().await?;
            lent.connection().describe(sql).await
        }
        .boxed()
    }
}
