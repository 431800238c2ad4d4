//! The accounts at sign-in services that one's own account is connected to, as a part of the security page.

use super::safety::Security;
use crate::controls::PostForm;
use protocol::auth::Provider;
use protocol::routes::page;
use yew::prelude::*;

/// What is connected, and what could be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accounts {
    pub connected: Vec<Connected>,
    pub others: Vec<Provider>,
}

/// An account at a sign-in service.
#[derive(Clone, Debug, PartialEq)]
pub struct Connected {
    pub id: String,
    /// The service's.
    pub name: String,
    /// The address there; empty where there is none.
    pub email: String,
}

/// Not drawn where this server knows no service and none was ever connected.
pub fn accounts_section(security: &Security) -> Html {
    let Accounts { connected, others } = &security.accounts;
    if connected.is_empty() && others.is_empty() {
        return html! {};
    }
    html! {
        <section class="fields" aria-labelledby="accounts">
            <h2 id="accounts">{ "Other ways to sign in" }</h2>
            if connected.is_empty() {
                <p>{ "None is connected." }</p>
            }
            for one in connected {
                <div data-testid="connected">
                    <p>{ &one.name }<small>{ " " }<bdi dir="ltr">{ &one.email }</bdi></small></p>
                    if security.is_fresh {
                        <PostForm action={page::FORM_UNLINK} csrf={security.csrf.clone()}>
                            <input type="hidden" name="account" value={one.id.clone()} />
                            <button class="button button-danger button-wide" data-testid="disconnect">
                                { format!("Take {} away", one.name) }
                            </button>
                        </PostForm>
                    }
                </div>
            }
            if security.is_fresh {
                for other in others {
                    <PostForm action={page::form_link(&other.id)} csrf={security.csrf.clone()}>
                        <button class="button button-wide" data-testid="connect">
                            { format!("Connect {}", other.name) }
                        </button>
                    </PostForm>
                }
            }
        </section>
    }
}
