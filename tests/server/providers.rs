//! Signing in through somebody else, who may be wrong, slow or lying.

use harness::{
    Answer, Client, Fault, OpenIdProvider, Person, SESSION_COOKIE, Stack, Visitor, browser, native,
};
use protocol::auth::{Client as Kind, Provider, SignUpStarted, SignedIn};
use protocol::{Code, routes};

const NEWCOMER_COOKIE: &str = "__Host-compymac_newcomer";
const PROVIDER_COOKIE: &str = "__Host-compymac_provider";

pub async fn stack_with(provider: &OpenIdProvider) -> Stack {
    Stack::builder()
        .with("PROVIDERS", provider.settings())
        .start()
        .await
}

/// Presses "Continue with …" on the sign-in page and gives the address at the provider.
pub async fn begin(client: &Client, provider: &str) -> String {
    let page = client.visit(routes::page::SIGN_IN).await;
    leave_by(client, &page, &routes::page::provider_start(provider)).await
}

/// Presses a page's button that leads to a provider and gives the address there.
pub async fn leave_by(client: &Client, page: &Answer, action: &str) -> String {
    let leaving = client.submit(page, action, &[]).await;
    leaving.succeeds();
    let refresh = leaving.header("refresh").unwrap_or_default();
    let address = refresh
        .strip_prefix("0;url=")
        .unwrap_or_else(|| panic!("the page leads on by itself: {leaving:?}"));
    assert_eq!(
        leaving.attribute_of("way-on", "href").as_deref(),
        Some(address),
        "and has a link for where it does not"
    );
    assert!(!leaving.text().contains("<script"), "it needs no script");
    address.to_owned()
}

/// What the browser is sent back with: path and query at the server.
pub async fn at_the_provider(stack: &Stack, address: &str) -> String {
    let outside = Client::browser(address, address);
    let answer = outside.get(address).await;
    let back = answer.location();
    back.strip_prefix(&stack.url())
        .unwrap_or_else(|| panic!("the provider leads back: {answer:?}"))
        .to_owned()
}

/// The whole way through a provider.
pub async fn sign_in(stack: &Stack, client: &Client, provider: &str) -> Answer {
    let address = begin(client, provider).await;
    let back = at_the_provider(stack, &address).await;
    let answer = client.get(&back).await;
    client.follow(answer).await
}

/// Somebody new for whose address the provider does not vouch, back from there: their window, and what it shows.
pub struct Newcomer {
    pub window: Client,
    pub shown: Answer,
}

impl Newcomer {
    pub async fn by(stack: &Stack, provider: &OpenIdProvider, name: &str, visitor: &Visitor) -> Self {
        provider.seat(visitor);
        let window = browser(stack);
        let shown = sign_in(stack, &window, name).await;
        assert!(
            shown.text().contains("data-testid=\"newcomer\"") && shown.text().contains(&visitor.email),
            "{name}: {shown:?}"
        );
        assert!(!window.is_in(), "{name}");
        Self { window, shown }
    }

    /// Types a code into the window.
    pub async fn types(&self, code: &str) -> Answer {
        let fields = [("code", code)];
        self.window
            .submit(&self.shown, routes::page::NEWCOMER, &fields)
            .await
    }

    /// Asks for another letter.
    pub async fn asks_again(&self) -> Answer {
        let fields = [("answer", "again")];
        self.window
            .submit(&self.shown, routes::page::NEWCOMER, &fields)
            .await
    }
}

/// Somebody whose address the provider has not confirmed.
pub fn unconfirmed(email: &str) -> Visitor {
    Visitor {
        is_verified: Some(false),
        ..Visitor::with_address(email)
    }
}

#[tokio::test]
async fn a_new_person_signs_in_with_google_and_with_github() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let listed: Vec<Provider> = browser(&stack).get(routes::PROVIDERS).await.expect();
    assert_eq!(
        listed.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(),
        ["google", "github"]
    );
    for name in ["google", "github"] {
        let person = Person::fresh();
        provider.seat(&Visitor::with_address(person.email.as_str()));
        let client = browser(&stack);
        sign_in(&stack, &client, name).await;
        assert_eq!(client.me().await.email, person.email, "{name}");
        // the second time it is the same person
        let again = browser(&stack);
        sign_in(&stack, &again, name).await;
        assert_eq!(again.me().await.user, client.me().await.user, "{name}");
    }
}

/// No button leads to what is not there, at the door or in the settings, and the ways of this site's own are open.
#[tokio::test]
async fn where_no_provider_is_set_up_no_button_leads_to_one() {
    let stack = Stack::start().await;
    let listed: Vec<Provider> = browser(&stack).get(routes::PROVIDERS).await.expect();
    assert!(listed.is_empty(), "{listed:?}");
    let (person, client) = Person::join(&stack).await;
    let stranger = browser(&stack);
    let door = stranger.visit(routes::page::SIGN_IN).await;
    let pages = [
        door.clone(),
        stranger.visit(routes::page::SIGN_UP).await,
        client.visit(routes::page::SECURITY).await,
    ];
    for page in pages {
        let said = page.succeeds().text();
        for button in ["data-testid=\"provider-", "data-testid=\"connect\""] {
            assert!(!said.contains(button), "{button}: {page:?}");
        }
    }
    // nor is there anything behind such a button that somebody makes up
    let form = door.form(routes::page::FORM_SIGN_IN);
    let csrf = form.field("csrf").expect("a token");
    let made_up = stranger
        .request(http::Method::POST, &routes::page::provider_start("google"))
        .form(&[("csrf", csrf)]);
    let nowhere = stranger.send(made_up).await;
    assert!(nowhere.header("refresh").is_none(), "{nowhere:?}");
    assert!(nowhere.location().contains("problem=not_found"), "{nowhere:?}");
    let by_letter = stranger.submit(&door, routes::page::LETTER_ASK, &[]).await;
    by_letter.succeeds();
    person.browser(&stack).await.me().await;
}

#[tokio::test]
async fn what_leaves_for_the_provider_is_pkce_with_state_and_nonce() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let address = url::Url::parse(&begin(&browser(&stack), "google").await).expect("a URL");
    let sent = |name: &str| {
        address
            .query_pairs()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.into_owned())
    };
    assert_eq!(sent("code_challenge_method").as_deref(), Some("S256"));
    for name in ["state", "nonce", "code_challenge"] {
        assert!(
            sent(name).is_some_and(|value| value.len() >= 22),
            "{name} in {address}"
        );
    }
    let redirect = sent("redirect_uri").expect("a redirect_uri");
    assert!(redirect.starts_with(&stack.url()), "{redirect}");
    assert!(sent("client_secret").is_none());
}

#[tokio::test]
async fn a_form_leads_to_this_site_alone() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let client = browser(&stack);
    let page = client.visit(routes::page::SIGN_IN).await;
    let leaving = client
        .submit(&page, &routes::page::provider_start("google"), &[])
        .await;
    for answer in [page, leaving] {
        let policy = answer.header("content-security-policy").unwrap_or_default();
        let targets: Vec<&str> = policy
            .split(';')
            .filter_map(|rule| rule.trim().strip_prefix("form-action "))
            .collect();
        assert_eq!(targets, ["'self'"], "{policy}");
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_refused_as_everything_else_is() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let client = browser(&stack);
    // as a program asks, so that a refusal comes as it is
    let ask = async |method: http::Method, path: &str| client.send(client.bare(method, path)).await;
    for path in [
        routes::AUTHORIZE,
        "/oauth/authorize?request_uri=a&request_uri=b",
        "/auth/verify?id=a&id=b",
        "/auth/google/callback?state=a&state=b",
        "/sign-in?next=/&next=/",
    ] {
        ask(http::Method::GET, path).await.refused(Code::BadRequest);
    }
    for path in ["/s/%ff", "/auth/%ff/callback?code=x", "/ws/%ff"] {
        ask(http::Method::GET, path).await.refused(Code::NotFound);
    }
    for path in [
        "/auth/%ff/start",
        "/s/%ff/messages",
        "/settings/devices/%ff/sign-out",
    ] {
        ask(http::Method::POST, path).await.refused(Code::NotFound);
    }
    // a person sees a page
    let page = client.get(routes::AUTHORIZE).await;
    assert_eq!(page.status, 400);
    assert!(page.text().contains("data-testid=\"problem\""), "{page:?}");
    // and a reason that nobody knows is no reason
    for known_or_not in ["zzz", "", "%ff"] {
        let page = client
            .get(&format!("{}?problem={known_or_not}", routes::page::SIGN_IN))
            .await;
        page.succeeds();
        assert!(!page.text().contains("data-testid=\"problem\""), "{page:?}");
    }
}

/// Each lie of any issuer, and what it is refused for, as the log says it: whoever is kept out for another reason is not kept out by
/// the check.
pub const LIES: [(Fault, &str); 15] = [
    (Fault::WrongIssuer, "Invalid issuer"),
    (Fault::WrongAudience, "Invalid audiences: must contain"),
    (Fault::TwoAudiences, "is not a trusted audience"),
    (Fault::WrongNonce, "Invalid nonce"),
    (Fault::MissingNonce, "Invalid nonce"),
    (Fault::Unsigned, "No signature found"),
    (Fault::KeyedWithPublicKey, "Disallowed signature algorithm"),
    (Fault::UnknownKey, "No matching key found"),
    (Fault::BrokenSignature, "Crypto error"),
    (Fault::Expired, "ID token expired"),
    (Fault::FromTheFuture, "issued in the future"),
    (Fault::OtherIssInAnswer, "the answer is from another issuer"),
    (Fault::NoIssInAnswer, "does not name its issuer"),
    (Fault::RedirectingTokens, "redeeming the code: Other error"),
    (
        Fault::RefusedTokens,
        "redeeming the code: Server returned error response: invalid_client",
    ),
];

/// What the audit has of sign-ins that were refused so.
async fn refused_as(stack: &Stack, name: &str, code: Code) -> i64 {
    let noted = "select count(*) from audit_events where event = 'sign_in' and outcome = 'refused'";
    stack
        .number(&format!("{noted} and reason = '{name}: {code}'"))
        .await
}

/// Whoever comes back with a lie is not in and is told, and that is noted once and logged for what it is.
pub async fn must_refuse(
    stack: &Stack,
    (provider, name): (&OpenIdProvider, &str),
    (lie, why, code): (Fault, &str, Code),
    enter: impl AsyncFnOnce(&Client) -> Answer,
) {
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    provider.misbehave(lie);
    let client = browser(stack);
    let (noted, said) = (refused_as(stack, name, code).await, stack.logs().len());
    let page = enter(&client).await;
    assert!(
        client.cookie(SESSION_COOKIE).is_none(),
        "{lie:?} signed somebody in"
    );
    assert_eq!(client.get(routes::ME).await.status, 401, "{lie:?}");
    assert!(
        page.text().contains("data-testid=\"problem\""),
        "{lie:?} is told: {page:?}"
    );
    let noted_since = refused_as(stack, name, code).await - noted;
    assert_eq!(noted_since, 1, "{lie:?} is noted");
    let logs = stack.logs();
    let said = logs.get(said..).unwrap_or_default();
    assert!(said.contains(why), "{lie:?} is refused for {why}: {said}");
}

#[tokio::test]
async fn every_lie_of_a_provider_is_refused() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let cancelled = [(Fault::Cancelled, "", Code::ProviderCancelled)];
    let lies = LIES.map(|(lie, why)| (lie, why, Code::ProviderFailed));
    for lie in lies.into_iter().chain(cancelled) {
        let enter = async |client: &Client| sign_in(&stack, client, "google").await;
        must_refuse(&stack, (&provider, "google"), lie, enter).await;
    }
    // and honest again, it works again
    provider.misbehave(Fault::None);
    let client = browser(&stack);
    sign_in(&stack, &client, "google").await;
    client.me().await;
}

/// What another provider gave out must not reach this one: not even to be refused there.
#[tokio::test]
async fn an_answer_that_names_another_issuer_is_refused_before_its_code_is_redeemed() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    for name in ["google", "github"] {
        provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
        provider.misbehave(Fault::OtherIssInAnswer);
        let client = browser(&stack);
        sign_in(&stack, &client, name).await;
        assert!(!client.is_in(), "{name}");
        assert_eq!(provider.asked().tokens, 0, "{name} saw the code");
    }
    // GitHub names itself of late, and has promised nothing
    for fault in [Fault::None, Fault::NoIssInAnswer] {
        provider.misbehave(fault);
        let client = browser(&stack);
        sign_in(&stack, &client, "github").await;
        assert!(client.is_in(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_key_that_the_issuer_changed_is_found_at_once_and_a_flood_of_unknown_ones_finds_it_quiet() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let enter = async || {
        provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
        let client = browser(&stack);
        sign_in(&stack, &client, "google").await;
        client.is_in()
    };
    assert!(enter().await);
    assert_eq!(provider.asked().keys, 1);
    provider.rotate_key();
    assert!(enter().await, "by the key that is there by now");
    assert_eq!(provider.asked().keys, 2);
    provider.misbehave(Fault::UnknownKey);
    for _ in 0..20 {
        assert!(!enter().await);
    }
    assert_eq!(provider.asked().keys, 2, "nobody asks for each of them");
    assert_eq!(provider.asked().descriptions, 2);
    provider.misbehave(Fault::None);
    assert!(enter().await);
}

/// What would be served there is all in order, so only not going there refuses it.
#[tokio::test]
async fn an_issuer_that_leads_elsewhere_is_not_followed() {
    let provider = OpenIdProvider::start().await;
    for fault in [
        Fault::RedirectingDescription,
        Fault::RedirectingKeys,
        Fault::RedirectingTokens,
        Fault::TokensByAnotherName,
        Fault::KeysByAMappedNumber,
        Fault::SendsPeopleInside,
    ] {
        // a server that knows nothing of the issuer yet
        let stack = stack_with(&provider).await;
        provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
        provider.misbehave(fault);
        let client = browser(&stack);
        let page = client.visit(routes::page::SIGN_IN).await;
        let start = routes::page::provider_start("google");
        let leaving = client.submit(&page, &start, &[]).await;
        let told = match leaving.header("refresh") {
            Some(refresh) => {
                assert_eq!(fault, Fault::RedirectingTokens, "{refresh}");
                let back = at_the_provider(&stack, refresh.trim_start_matches("0;url=")).await;
                client.get(&back).await
            }
            None => leaving,
        };
        let told = client.follow(told).await;
        assert!(!client.is_in(), "{fault:?}");
        assert!(
            told.text().contains("data-testid=\"problem\""),
            "{fault:?}: {told:?}"
        );
        provider.misbehave(Fault::None);
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up_and_nobody_else_waits() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.misbehave(Fault::SlowTokens);
    let client = browser(&stack);
    let (page, ()) = tokio::join!(sign_in(&stack, &client, "google"), async {
        Person::join(&stack).await;
    });
    assert!(client.cookie(SESSION_COOKIE).is_none(), "{page:?}");
}

/// Each browser is brought an answer that nobody has used up, so that nothing but the browser is wrong.
#[tokio::test]
async fn an_answer_counts_only_in_the_browser_that_asked() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    let (attacker, victim) = (browser(&stack), browser(&stack));
    // in the middle of a sign-in of its own, so that it has a cookie for one
    let busy = browser(&stack);
    let own = at_the_provider(&stack, &begin(&busy, "google").await).await;
    // and somebody who is signed in stays who they are, also while they are out to connect an account
    let (_, signed_in) = Person::join(&stack).await;
    let before = signed_in.me().await;
    let (_, connecting) = Person::join(&stack).await;
    let security = connecting.get(routes::page::SECURITY).await;
    leave_by(&connecting, &security, &routes::page::form_link("google")).await;
    for (who, client, has_cookie) in [
        ("a stranger", &victim, false),
        ("one on their way in", &busy, true),
        ("one who is in", &signed_in, false),
        ("one who connects an account", &connecting, true),
    ] {
        assert_eq!(client.cookie(PROVIDER_COOKIE).is_some(), has_cookie, "{who}");
        let was_in = client.cookie(SESSION_COOKIE);
        let back = at_the_provider(&stack, &begin(&attacker, "google").await).await;
        assert_ne!(client.cookie(PROVIDER_COOKIE), attacker.cookie(PROVIDER_COOKIE));
        let refused = client.get(&back).await;
        assert!(
            refused.location().contains("state_mismatch"),
            "{who}: {refused:?}"
        );
        assert_eq!(client.cookie(SESSION_COOKIE), was_in, "{who}");
        // and it is worth nothing more, not even where it belongs
        let late = attacker.get(&back).await;
        assert!(late.location().contains("state_mismatch"), "{who}: {late:?}");
    }
    assert!(!attacker.is_in() && !victim.is_in() && !busy.is_in());
    assert_eq!(signed_in.me().await.user, before.user);
    assert_eq!(provider.asked().tokens, 0, "no code was redeemed");
    // where it belongs an answer counts, and whoever was brought another one's goes on as they were
    busy.get(&own).await;
    assert!(busy.is_in());
    let back = at_the_provider(&stack, &begin(&attacker, "google").await).await;
    attacker.get(&back).await;
    assert!(attacker.is_in());
}

#[tokio::test]
async fn an_answer_counts_once() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    let client = browser(&stack);
    let back = at_the_provider(&stack, &begin(&client, "google").await).await;
    let answers = futures_util::future::join_all((0..20).map(|_| client.get(&back))).await;
    let signed_in = answers
        .iter()
        .filter(|answer| {
            answer
                .set_cookies()
                .iter()
                .any(|line| line.starts_with(SESSION_COOKIE))
        })
        .count();
    assert_eq!(signed_in, 1, "{answers:?}");
}

#[tokio::test]
async fn an_answer_that_was_refused_has_used_up_its_way_out() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    let client = browser(&stack);
    let back = at_the_provider(&stack, &begin(&client, "google").await).await;
    // the provider never sees a code of this one, so it cannot be the one who refuses the next
    let refused = client
        .get(&back.replace("code=", "error=access_denied&was="))
        .await;
    assert!(refused.location().contains("provider_cancelled"), "{refused:?}");
    let answer = client.get(&back).await;
    assert!(answer.location().contains("state_mismatch"), "{answer:?}");
    assert!(client.cookie(SESSION_COOKIE).is_none());
}

#[tokio::test]
async fn an_answer_of_one_provider_is_nothing_at_another() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    let client = browser(&stack);
    for (asked, other) in [("github", "google"), ("google", "github")] {
        let back = at_the_provider(&stack, &begin(&client, asked).await).await;
        let elsewhere = back.replace(&format!("/{asked}/"), &format!("/{other}/"));
        assert_ne!(elsewhere, back);
        let refused = client.get(&elsewhere).await;
        assert!(refused.location().contains("state_mismatch"), "{refused:?}");
        assert!(!client.is_in());
    }
    client.get("/auth/unheard-of/callback?code=x&state=y").await;
    assert!(!client.is_in());
    assert_eq!(provider.asked().tokens, 0, "no code was redeemed");
}

#[tokio::test]
async fn somebody_who_took_the_address_before_its_owner_is_put_out() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let attacker = Person::fresh();
    let window = browser(&stack);
    let started: SignUpStarted = attacker.sign_up(&window).await.expect();
    let code = stack
        .letter_to(attacker.email.as_str(), 1)
        .await
        .code
        .expect("a code");

    provider.seat(&Visitor::with_address(attacker.email.as_str()));
    let owner = browser(&stack);
    sign_in(&stack, &owner, "google").await;
    assert_eq!(owner.me().await.email, attacker.email);

    let refused = attacker.try_sign_in(&browser(&stack), Kind::Browser).await;
    refused.refused(Code::InvalidCredentials);
    let late = attacker
        .confirm(&window, &code, Some(started.binding), native("Attacker"))
        .await;
    assert_ne!(late.status, 200, "a letter from before opens nothing: {late:?}");
    assert_eq!(owner.devices().await.len(), 1);
}

#[tokio::test]
async fn an_account_with_that_address_is_linked_only_by_its_owner() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (person, _) = Person::join(&stack).await;
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let client = browser(&stack);
    let page = sign_in(&stack, &client, "google").await;
    assert!(client.cookie(SESSION_COOKIE).is_none(), "{page:?}");
    let told = page.text();
    assert!(told.contains("data-testid=\"problem\""), "{told}");
    // the one who knows the password links it, in the same browser
    person
        .try_sign_in(&client, Kind::Browser)
        .await
        .expect::<SignedIn>();
    let fresh = browser(&stack);
    sign_in(&stack, &fresh, "google").await;
    assert_eq!(fresh.me().await.email, person.email);
}

/// A domain that somebody else registers again, or an address that a provider gives to another.
#[tokio::test]
async fn another_subject_with_the_address_of_an_account_is_somebody_else() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let email = Person::fresh().email;
    for name in ["google", "github"] {
        // the account is that provider's own, with no password
        let first = Visitor::with_address(&format!("{name}.{}", email.as_str()));
        provider.seat(&first);
        let owner = browser(&stack);
        sign_in(&stack, &owner, name).await;
        let user = owner.me().await.user;
        provider.seat(&Visitor {
            subject: format!("1{}", first.subject),
            ..first.clone()
        });
        let stranger = browser(&stack);
        sign_in(&stack, &stranger, name).await;
        assert!(stranger.cookie(SESSION_COOKIE).is_none(), "{name}");
        // and whoever changes names and addresses there stays who they are
        provider.seat(&Visitor {
            email: Person::fresh().email.to_string(),
            name: "Ana Ruiz-Maier".to_owned(),
            ..first
        });
        let renamed = browser(&stack);
        sign_in(&stack, &renamed, name).await;
        assert_eq!(renamed.me().await.user, user, "{name}");
    }
    assert_eq!(stack.number("select count(*) from accounts").await, 2);
}

#[tokio::test]
async fn what_waits_for_its_owner_is_not_linked_to_whoever_signs_in_there_next() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (owner, _) = Person::join(&stack).await;
    let (guest, _) = Person::join(&stack).await;
    provider.seat(&Visitor::with_address(owner.email.as_str()));
    let client = browser(&stack);
    sign_in(&stack, &client, "google").await;
    guest
        .try_sign_in(&client, Kind::Browser)
        .await
        .expect::<SignedIn>();
    assert_eq!(stack.number("select count(*) from accounts").await, 0);
}

/// Whoever proves that an account is theirs links what they left for, and no other that came to that browser meanwhile.
#[tokio::test]
async fn an_identity_that_waits_is_replaced_by_another_in_silence_never() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (owner, _) = Person::join(&stack).await;
    let of = |subject: &str| Visitor {
        subject: subject.to_owned(),
        ..Visitor::with_address(owner.email.as_str())
    };
    let linked = async |subject: &str| {
        let rows = format!("select count(*) from accounts where provider_account_id = '{subject}'");
        stack.number(&rows).await
    };
    let client = browser(&stack);
    for (name, subject) in [("google", "1001"), ("google", "1002"), ("github", "1001")] {
        provider.seat(&of("1001"));
        let waits = sign_in(&stack, &client, "google").await;
        assert!(waits.text().contains("data-testid=\"problem\""), "{waits:?}");
        if (name, subject) == ("google", "1001") {
            // the same once more waits on
            sign_in(&stack, &client, "google").await;
            continue;
        }
        provider.seat(&of(subject));
        let back = at_the_provider(&stack, &begin(&client, name).await).await;
        let told = client.get(&back).await;
        assert!(
            told.location().contains("state_mismatch"),
            "{name} {subject}: {told:?}"
        );
        owner
            .try_sign_in(&client, Kind::Browser)
            .await
            .expect::<SignedIn>();
        assert_eq!(
            stack.number("select count(*) from accounts").await,
            0,
            "{name} {subject}"
        );
        client.sign_out().await.succeeds();
    }
    // and begun anew, it is the one that was proven
    provider.seat(&of("1002"));
    sign_in(&stack, &client, "google").await;
    owner
        .try_sign_in(&client, Kind::Browser)
        .await
        .expect::<SignedIn>();
    assert_eq!((linked("1001").await, linked("1002").await), (0, 1));
}

#[tokio::test]
async fn an_address_that_the_provider_did_not_confirm_gives_no_one_in() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (victim, _) = Person::join(&stack).await;
    // neither to somebody who is here, nor as the first to come with an address that may be anybody's
    for email in [victim.email, Person::fresh().email] {
        for is_verified in [Some(false), None] {
            for name in ["google", "github"] {
                provider.seat(&Visitor {
                    is_verified,
                    ..Visitor::with_address(email.as_str())
                });
                let client = browser(&stack);
                sign_in(&stack, &client, name).await;
                assert!(
                    client.cookie(SESSION_COOKIE).is_none(),
                    "{email} {name} {is_verified:?}"
                );
            }
        }
    }
    assert_eq!(
        stack.number("select count(*) from users").await,
        1,
        "the victim alone"
    );
    assert_eq!(stack.number("select count(*) from accounts").await, 0);
}

/// Nothing is made before the code is typed, in the window that came; after it they are known without any letter.
#[tokio::test]
async fn somebody_new_proves_an_unconfirmed_address_by_the_code_of_a_letter() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    for (joined, name) in ["google", "github"].into_iter().enumerate() {
        let joined = i64::try_from(joined).expect("few");
        let visitor = unconfirmed(Person::fresh().email.as_str());
        let newcomer = Newcomer::by(&stack, &provider, name, &visitor).await;
        let letter = stack.letter_to(&visitor.email, 1).await;
        let code = letter.code.expect("a code");
        assert_eq!(stack.number("select count(*) from users").await, joined, "{name}");
        assert_eq!(
            stack.number("select count(*) from accounts").await,
            joined,
            "{name}"
        );
        let wrong = newcomer.types("00000000").await;
        assert_eq!(wrong.status, 410, "{name}: {wrong:?}");
        // looking again takes nothing from anybody, and another browser finds nothing there
        let again = newcomer.window.get(routes::page::NEWCOMER).await;
        assert!(
            again.succeeds().text().contains("data-testid=\"newcomer\""),
            "{again:?}"
        );
        let elsewhere = browser(&stack).get(routes::page::NEWCOMER).await;
        assert!(elsewhere.location().contains("state_mismatch"), "{elsewhere:?}");
        let entered = newcomer.types(&code.to_lowercase()).await;
        assert_eq!(entered.location(), routes::page::HOME, "{name}: {entered:?}");
        let me = newcomer.window.me().await;
        assert_eq!(
            (me.email.as_str(), me.name.as_deref()),
            (visitor.email.as_str(), Some("Ana Ruiz"))
        );
        let late = newcomer.window.get(routes::page::NEWCOMER).await;
        assert!(late.location().contains("state_mismatch"), "{name}: {late:?}");
        // known from now on, whatever the provider says of the address
        let window = browser(&stack);
        sign_in(&stack, &window, name).await;
        assert_eq!(window.me().await.user, me.user, "{name}");
    }
    let proven = "select count(*) from users where email_verified is not null";
    assert_eq!(stack.number(proven).await, 2);
}

/// Each window has a code of its own, good for the identity that came in it.
#[tokio::test]
async fn a_newcomers_code_is_worth_nothing_in_another_window() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let email = Person::fresh().email;
    let first = Newcomer::by(&stack, &provider, "google", &unconfirmed(email.as_str())).await;
    let code = stack.letter_to(email.as_str(), 1).await.code.expect("a code");
    let second = Newcomer::by(&stack, &provider, "github", &unconfirmed(email.as_str())).await;
    let refused = second.types(&code).await;
    assert_eq!(refused.status, 410, "{refused:?}");
    assert!(!second.window.is_in());
    // nor does what the other browser holds help where it was changed
    let cookie = second.window.cookie(NEWCOMER_COOKIE).expect("a cookie");
    let (head, last) = cookie.split_at(cookie.len() - 1);
    let other = if last == "A" { "Q" } else { "A" };
    let crooked = browser(&stack);
    crooked.put_cookie(NEWCOMER_COOKIE, &format!("{head}{other}"));
    let told = crooked.get(routes::page::NEWCOMER).await;
    assert!(told.location().contains("state_mismatch"), "{told:?}");
    first.types(&code).await;
    assert!(first.window.is_in());
    let linked = "select count(*) from accounts where provider = 'google'";
    assert_eq!(stack.number(linked).await, 1);
    // the address is proven: what else was on its way to it ends
    let others = stack.letter_to(email.as_str(), 2).await.code.expect("a code");
    let late = second.types(&others).await;
    assert_eq!(late.status, 410, "{late:?}");
    assert_eq!(stack.number("select count(*) from accounts").await, 1);
}

/// A provider that names no address at all leaves nothing to write to.
#[tokio::test]
async fn who_comes_without_any_address_is_told_to_sign_up() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&unconfirmed("none"));
    let client = browser(&stack);
    let page = sign_in(&stack, &client, "google").await;
    assert!(
        page.text().contains("no e-mail address that reaches you"),
        "{page:?}"
    );
    assert!(client.cookie(NEWCOMER_COOKIE).is_none());
    assert_eq!(stack.number("select count(*) from email_outbox").await, 0);
}

#[tokio::test]
async fn a_cancelled_sign_in_is_told_kindly() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.misbehave(Fault::Cancelled);
    let client = browser(&stack);
    let page = sign_in(&stack, &client, "google").await;
    assert!(page.text().contains("data-testid=\"problem\""), "{page:?}");
    assert!(
        page.text().contains("data-testid=\"sign-in-form\""),
        "and one can try again: {page:?}"
    );
}
