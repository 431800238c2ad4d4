//! What somebody who is signed in may ask and do about it: who am I, which devices are in, sign out.

use super::audit_events::{self, Event};
use super::{Auth, Caller, SESSION, Visit, cookies, devices, native, safety, second_step};
use crate::asked::Id;
use crate::error::Result;
use crate::mail::{self, Letter};
use axum::extract::State;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use http::StatusCode;
use protocol::auth::{Device, Me};
use protocol::routes::page;
use protocol::{Code, DeviceId, Problem, routes};

/// Who the caller is.
#[utoipa::path(get, path = routes::ME, tag = "Devices",
    responses((status = 200, body = Me), (status = 401, body = Problem)))]
pub async fn read_me(caller: Caller) -> axum::Json<Me> {
    axum::Json(caller.me())
}

/// The signed-in devices, the most recently used first.
#[utoipa::path(get, path = routes::DEVICES, tag = "Devices",
    responses((status = 200, body = [Device]), (status = 401, body = Problem)))]
pub async fn list_devices(State(auth): State<Auth>, caller: Caller) -> Result<axum::Json<Vec<Device>>> {
    Ok(axum::Json(devices_of(&auth, &caller).await?))
}

pub async fn devices_of(auth: &Auth, caller: &Caller) -> Result<Vec<Device>> {
    Ok(devices::list(&auth.pool, caller.user, caller.device).await?)
}

/// Signs a device of one's own out, everywhere within two seconds.
#[utoipa::path(delete, path = routes::DEVICE, tag = "Devices", params(("id" = DeviceId, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn delete_device(
    State(auth): State<Auth>,
    caller: Caller,
    visit: Visit,
    Id(device): Id<DeviceId>,
) -> Result<StatusCode> {
    sign_out_device(&auth, &caller, device, &visit).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn sign_out_device(auth: &Auth, caller: &Caller, device: DeviceId, visit: &Visit) -> Result<()> {
    let mut tx = auth.pool.begin().await?;
    if !devices::revoke(&mut tx, caller.user, device, "signed out").await? {
        return Err(Code::NotFound.into());
    }
    let event = Event {
        user: Some(caller.user),
        device: Some(device),
        name: "sign_out",
        refusal: None,
        method: if device == caller.device {
            "itself"
        } else {
            "another device"
        },
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.announce_signed_out(caller.user, &[device]);
    Ok(())
}

/// Signs every device but this one out, everywhere within two seconds. Wants a fresh proof of who asks, which a browser shows
/// on the security page.
#[utoipa::path(delete, path = routes::DEVICES, tag = "Devices",
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn delete_devices(State(auth): State<Auth>, caller: Caller, visit: Visit) -> Result<StatusCode> {
    sign_out_others(&auth, &caller, &visit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives how many they were. What one of them has begun or let in, and nobody has taken up, ends too.
pub async fn sign_out_others(auth: &Auth, caller: &Caller, visit: &Visit) -> Result<usize> {
    let mut tx = safety::change(auth, caller).await?;
    native::void_codes(&mut tx, caller.user).await?;
    second_step::void_challenges(&mut tx, caller.user).await?;
    let signed_out = devices::revoke_others(&mut tx, caller.user, caller.device, "others signed out").await?;
    let event = Event::by_its_owner(caller, "sign_out_others");
    audit_events::note(&mut tx, event, visit).await?;
    if !signed_out.is_empty() {
        let letter = Letter::DevicesSignedOut {
            when: auth.now_and_where(visit)?,
            link: auth.config.link(page::SECURITY),
        };
        mail::put(&mut tx, Some(caller.user), &caller.email, &letter).await?;
    }
    tx.commit().await?;
    auth.announce_signed_out(caller.user, &signed_out);
    auth.letters_wait();
    Ok(signed_out.len())
}

/// Signs this device out.
#[utoipa::path(post, path = routes::SIGN_OUT, tag = "Devices",
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn post_sign_out(
    State(auth): State<Auth>,
    caller: Caller,
    visit: Visit,
) -> Result<(CookieJar, StatusCode)> {
    let cookie = sign_out(&auth, &caller, &visit).await?;
    Ok((CookieJar::new().add(cookie), StatusCode::NO_CONTENT))
}

/// The cookie takes the browser's own away. Signing out twice is signing out.
pub async fn sign_out(auth: &Auth, caller: &Caller, visit: &Visit) -> Result<Cookie<'static>> {
    match sign_out_device(auth, caller, caller.device, visit).await {
        Ok(()) => {}
        Err(crate::error::Error::Told(problem)) if problem.code == Code::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(cookies::clear(SESSION))
}
