//! What whoever runs the server may do for its people, and see of them. It is reached from the machine itself, by no route.
//!
//! **Invariant:** what changes anything is noted with the operator's name, in the transaction that changes it.

mod keys;
mod letters;

pub use super::audit_events::Told;
pub use super::providers::Listed as Identity;
pub use super::sealing::Sealing;
pub use super::users::{Belongings, LISTED, Listed};
pub use crate::mail::suppressions::Listed as Suppressed;

use super::audit_events::{self, Act};
use super::finish::in_words;
use super::{
    Auth, deletion, devices, native, password, providers, sealing, second_step, users, verification_tokens,
};
use crate::database::Transaction;
use crate::error::Result;
use crate::mail::{self, Letter};
use protocol::auth::{Device, Email, Password};
use protocol::routes::page;
use protocol::{Code, DeviceId, Problem, UserId, limits};
use time::OffsetDateTime;
use uuid::Uuid;

/// Somebody at the server's own machine, by the name that the audit gets.
#[derive(Clone, Debug)]
pub struct Operator {
    auth: Auth,
    name: Option<String>,
}

/// Whether something is done, or only tried in a transaction that is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earnest {
    Done,
    Trial,
}

/// One user in full.
#[derive(Clone, Debug)]
pub struct Look {
    pub user: Listed,
    pub has_password: bool,
    /// Recovery codes that are left; `None`: there is no second step.
    pub codes_left: Option<i64>,
    /// Identities at providers that open the account.
    pub accounts: Vec<Identity>,
    pub belongings: Belongings,
}

fn conflict(why: String) -> Problem {
    Problem::new(Code::Conflict).detail(why)
}

impl Operator {
    /// Without a name nothing can be changed.
    pub fn new(auth: Auth, name: Option<String>) -> Self {
        Self { auth, name }
    }

    /// By address or id.
    pub async fn find(&self, who: &str) -> Result<Listed> {
        let pool = &self.auth.pool;
        let id = match Uuid::parse_str(who) {
            Ok(id) => Some(UserId(id)),
            Err(_) => users::find(pool, &Email::parse(who)?).await?,
        };
        let listed = match id {
            Some(id) => users::listed(pool, id).await?,
            None => None,
        };
        let unknown = || Problem::new(Code::NotFound).detail(format!("There is no user {who}."));
        Ok(listed.ok_or_else(unknown)?)
    }

    /// In the order of their addresses, at most [`LISTED`].
    pub async fn list(&self, after: &str) -> Result<Vec<Listed>> {
        Ok(users::list(&self.auth.pool, &after.to_lowercase()).await?)
    }

    pub async fn look(&self, user: Listed) -> Result<Look> {
        let (pool, id) = (&self.auth.pool, UserId(user.id));
        let mut tx = pool.begin().await?;
        let belongings = users::belongings(&mut tx, id).await?;
        tx.rollback().await?;
        Ok(Look {
            has_password: users::password_of(pool, id).await?.is_some(),
            codes_left: second_step::left(pool, id).await?,
            accounts: providers::accounts_of(pool, id).await?,
            belongings,
            user,
        })
    }

    /// Vouches for the address. Whatever a sign-up that nobody confirmed had chosen is gone.
    pub async fn create(&self, email: &Email, name: Option<&str>) -> Result<UserId> {
        let name = name.map(str::trim).filter(|name| !name.is_empty());
        if name.is_some_and(|name| {
            name.chars().count() > limits::NAME_CHARS || name.chars().any(char::is_control)
        }) {
            let why = "Please use a shorter name, on one line.";
            return Err(Problem::new(Code::Invalid).field("name").detail(why).into());
        }
        let mut tx = self.auth.pool.begin().await?;
        let holder = users::find_or_make(&mut tx, email).await?;
        let user = holder.user;
        if holder.is_verified {
            return Err(conflict(format!("There is a user {email} already.")).into());
        }
        users::verify(&mut tx, user, None, name).await?;
        verification_tokens::void_all(&mut tx, &email.key()).await?;
        let signed_out = devices::revoke_all(&mut tx, user, "made by the operator").await?;
        self.note(&mut tx, user, None, "user_made", None).await?;
        tx.commit().await?;
        self.auth.announce_signed_out(user, &signed_out);
        Ok(user)
    }

    /// Every way in refuses them from now on, and their devices are out. How many those were.
    pub async fn lock(&self, user: &Listed, reason: Option<&str>) -> Result<usize> {
        let id = UserId(user.id);
        let mut tx = self.auth.pool.begin().await?;
        // waits for a sign-in that is just being finished, whose device is then found
        if !users::lock(&mut tx, id).await? {
            return Err(conflict(format!("{} is locked already.", user.email)).into());
        }
        let signed_out = devices::revoke_all(&mut tx, id, "locked").await?;
        self.note(&mut tx, id, None, "user_locked", reason).await?;
        tx.commit().await?;
        self.auth.announce_signed_out(id, &signed_out);
        Ok(signed_out.len())
    }

    /// What was begun before or meanwhile is worthless: they sign in afresh.
    pub async fn unlock(&self, user: &Listed, reason: Option<&str>) -> Result<()> {
        let id = UserId(user.id);
        let mut tx = self.auth.pool.begin().await?;
        if !users::unlock(&mut tx, id).await? {
            return Err(conflict(format!("{} is not locked.", user.email)).into());
        }
        void_begun(&mut tx, user).await?;
        self.note(&mut tx, id, None, "user_unlocked", reason).await?;
        Ok(tx.commit().await?)
    }

    /// With all that is theirs in the database. What was noted of them stays as nobody's.
    pub async fn delete(&self, user: &Listed, earnest: Earnest) -> Result<Belongings> {
        let id = UserId(user.id);
        let mut tx = self.auth.pool.begin().await?;
        let belongings = users::belongings(&mut tx, id).await?;
        if earnest == Earnest::Trial {
            return Ok(belongings);
        }
        let removed = deletion::remove_user(&self.auth, &mut tx, id).await?;
        let (_, signed_out) = removed.ok_or(Code::NotFound)?;
        self.note(&mut tx, id, None, "user_deleted", None).await?;
        audit_events::unname(&mut tx, id, self.auth.pseudonym(id)).await?;
        tx.commit().await?;
        self.auth.announce_signed_out(id, &signed_out);
        Ok(belongings)
    }

    /// The most recently used first.
    pub async fn devices(&self, user: &Listed) -> Result<Vec<Device>> {
        let none_is_this = DeviceId(Uuid::nil());
        Ok(devices::list(&self.auth.pool, UserId(user.id), none_is_this).await?)
    }

    /// Signs these devices out, all or none; gives whose each is.
    pub async fn sign_out(&self, devices: &[DeviceId], earnest: Earnest) -> Result<Vec<(UserId, DeviceId)>> {
        let mut tx = self.auth.pool.begin().await?;
        let mut signed_out = Vec::with_capacity(devices.len());
        for device in devices {
            let unknown =
                || Problem::new(Code::NotFound).detail(format!("There is no signed-in device {device}."));
            let user = devices::owner(&mut tx, *device).await?.ok_or_else(unknown)?;
            if !devices::revoke(&mut tx, user, *device, "signed out by the operator").await? {
                return Err(unknown().into());
            }
            self.note(&mut tx, user, Some(*device), "sign_out", None).await?;
            end_begun(&mut tx, user).await?;
            signed_out.push((user, *device));
        }
        if earnest == Earnest::Done {
            tx.commit().await?;
            for (user, device) in &signed_out {
                self.auth.announce_signed_out(*user, &[*device]);
            }
        }
        Ok(signed_out)
    }

    /// Signs every device of a user out.
    pub async fn sign_out_all(&self, user: &Listed, earnest: Earnest) -> Result<Vec<DeviceId>> {
        let id = UserId(user.id);
        let mut tx = self.auth.pool.begin().await?;
        end_begun(&mut tx, id).await?;
        let signed_out = devices::revoke_all(&mut tx, id, "signed out by the operator").await?;
        for device in &signed_out {
            self.note(&mut tx, id, Some(*device), "sign_out", None).await?;
        }
        if earnest == Earnest::Done {
            tx.commit().await?;
            self.auth.announce_signed_out(id, &signed_out);
        }
        Ok(signed_out)
    }

    /// By the rules that people's own choice keeps; every device is signed out, and a letter tells.
    pub async fn set_password(&self, user: &Listed, new: Password) -> Result<usize> {
        let (auth, id) = (&self.auth, UserId(user.id));
        if !user.is_verified {
            let why = format!(
                "{} has not confirmed that address, so no password could be used. `users create` vouches for it.",
                user.email
            );
            return Err(conflict(why).into());
        }
        let email = devices::stored_email(&user.email)?;
        let about = password::about(&email, user.name.as_deref());
        let hash = auth.0.hasher.choose(new, about).await?;
        let mut tx = auth.pool.begin().await?;
        if !users::set_password(&mut tx, id, &hash).await? {
            return Err(conflict(format!("{} is locked. Unlock them first.", user.email)).into());
        }
        void_begun(&mut tx, user).await?;
        let signed_out = devices::revoke_all(&mut tx, id, "password set by the operator").await?;
        let letter = Letter::PasswordChanged {
            when: in_words(OffsetDateTime::now_utc())?,
            link: auth.config.link(page::FORGOT),
        };
        mail::put(&mut tx, Some(id), &email, &letter).await?;
        self.note(&mut tx, id, None, "password", None).await?;
        tx.commit().await?;
        auth.announce_signed_out(id, &signed_out);
        auth.letters_wait();
        Ok(signed_out.len())
    }

    /// Turns the second step off, for somebody who lost both phone and codes; a letter tells.
    pub async fn reset_second_step(&self, user: &Listed) -> Result<()> {
        let (auth, id) = (&self.auth, UserId(user.id));
        let email = devices::stored_email(&user.email)?;
        let mut tx = auth.pool.begin().await?;
        if !second_step::forget(&mut tx, id).await? {
            return Err(conflict(format!("{} has no second step.", user.email)).into());
        }
        let letter = Letter::SecondStepOff {
            when: in_words(OffsetDateTime::now_utc())?,
            link: auth.config.link(page::SECURITY),
        };
        mail::put(&mut tx, Some(id), &email, &letter).await?;
        self.note(&mut tx, id, None, "second_step_off", None).await?;
        tx.commit().await?;
        auth.letters_wait();
        Ok(())
    }

    /// How many sealed secrets the present key opens, and whose it does not.
    pub async fn sealing(&self) -> Result<Sealing> {
        Ok(sealing::look(&self.auth.pool, &self.auth.keys).await?)
    }

    /// What happened last, of everybody or of one; the newest last.
    pub async fn newest(&self, of: Option<&Listed>, count: u16) -> Result<Vec<Told>> {
        let of = of.map(|user| UserId(user.id));
        Ok(audit_events::newest(&self.auth.pool, of, count.into()).await?)
    }

    fn name(&self) -> Result<&str, Problem> {
        self.name.as_deref().ok_or_else(|| {
            Problem::new(Code::BadRequest)
                .detail("Please say who you are with --operator NAME, since what you change is noted.")
        })
    }

    async fn note(
        &self,
        db: &mut Transaction,
        user: UserId,
        device: Option<DeviceId>,
        name: &str,
        reason: Option<&str>,
    ) -> Result<()> {
        let act = Act {
            operator: self.name()?,
            user: Some(user),
            device,
            name,
            reason,
        };
        Ok(audit_events::note_act(db, act).await?)
    }
}

/// Letters, codes and half sign-ins of a user.
async fn void_begun(db: &mut Transaction, user: &Listed) -> Result<()> {
    verification_tokens::void_all(&mut *db, &user.email.to_lowercase()).await?;
    end_begun(db, UserId(user.id)).await
}

/// Sign-ins that were begun end: what vouched for them is signed out.
async fn end_begun(db: &mut Transaction, user: UserId) -> Result<()> {
    native::void_codes(&mut *db, user).await?;
    Ok(second_step::void_challenges(db, user).await?)
}
