//! The passkeys of an account, and the forms that one answers: shown where the browser has passkeys, as a script finds out.

use super::safety::Security;
use crate::controls::{PostForm, Sign, icon};
use protocol::limits;
use protocol::routes::page;
use yew::prelude::*;

/// One as its owner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Passkey {
    pub id: String,
    pub name: String,
    /// In words, as the next.
    pub added: String,
    pub used: Option<String>,
}

/// What the script looks for: it asks the browser for a passkey before such a form is posted.
const ASKS: &str = "passkey";

pub fn section(security: &Security) -> Html {
    let Some(passkeys) = &security.passkeys else {
        return Html::default();
    };
    html! {
        <section class="fields" aria-labelledby="passkeys" data-testid="passkeys-section">
            <h2 id="passkeys">{ "Passkeys" }</h2>
            <p>{ "A passkey signs you in by what unlocks your computer, your phone or a security key. No password and no code is asked for, and no other site can use it." }</p>
            if !passkeys.is_empty() {
                <ul class="events" data-testid="passkeys">
                    for passkey in passkeys {
                        { row(security, passkey) }
                    }
                </ul>
            }
            if security.is_fresh && passkeys.len() < limits::PASSKEYS {
                <p class="hint without-passkeys">{ "This browser cannot make one: it has no passkeys, or runs no script." }</p>
                <PostForm action={page::FORM_PASSKEY_ADD} csrf={security.csrf.clone()} class={classes!("fields", ASKS)} testid="passkey-add-form">
                    { name_field("Name of a new one", "", false, "passkey-name") }
                    <button class="button button-wide" data-testid="passkey-add">{ icon(Sign::Key) }{ "Add a passkey" }</button>
                </PostForm>
            }
        </section>
    }
}

fn row(security: &Security, passkey: &Passkey) -> Html {
    let csrf = &security.csrf;
    let used = passkey
        .used
        .as_ref()
        .map_or_else(|| "not used yet".to_owned(), |used| format!("last used {used}"));
    html! {
        <li data-testid="passkey">
            <bdi>{ &passkey.name }</bdi>
            <small>{ format!("Added {} · {used}", passkey.added) }</small>
            if security.is_fresh {
                <details data-testid="passkey-more">
                    <summary>{ "Rename or remove" }</summary>
                    <div class="fields passkey-more">
                        <PostForm action={page::with_id(page::FORM_PASSKEY_RENAME, &passkey.id)} csrf={csrf.clone()} class="fields">
                            { name_field("Name", &passkey.name, true, "passkey-new-name") }
                            <button class="button button-wide" data-testid="passkey-rename">{ "Rename" }</button>
                        </PostForm>
                        <PostForm action={page::with_id(page::FORM_PASSKEY_REMOVE, &passkey.id)} csrf={csrf.clone()}>
                            <button class="button button-danger button-wide" data-testid="passkey-remove">{ "Remove" }</button>
                        </PostForm>
                    </div>
                </details>
            }
        </li>
    }
}

fn name_field(label: &'static str, value: &str, is_required: bool, testid: &'static str) -> Html {
    html! {
        <label class="labelled">
            <span>{ label }</span>
            <input
                class="field"
                name="name"
                value={value.to_owned()}
                autocomplete="off"
                maxlength={limits::PASSKEY_NAME_CHARS.to_string()}
                required={is_required}
                placeholder={(!is_required).then_some("Work laptop")}
                data-testid={testid}
            />
        </label>
    }
}

/// Shows by a passkey that it is still the same person.
pub fn proof(csrf: &str) -> Html {
    html! {
        <PostForm action={page::PROVE_PASSKEY} csrf={csrf.to_owned()} class={ASKS}>
            <button class="button button-wide" data-testid="prove-passkey">{ icon(Sign::Key) }{ "Use a passkey" }</button>
        </PostForm>
    }
}
