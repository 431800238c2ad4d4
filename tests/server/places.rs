//! Roughly where somebody signed in, for whoever looks at their devices and letters.

use crate::native_sign_in::{App, authorize_path};
use harness::{Client, Person, PlacesFile, Stack, browser, native, place, run_to_end};
use http::Method;
use protocol::auth::{Client as Kind, Password, SignIn, SignedIn};
use protocol::oauth::PushedAnswer;
use protocol::routes::{self, page};

/// Nobody's networks (RFC 5737, RFC 3849).
const LISBON: &str = "203.0.113.9";
const WALES: &str = "2001:db8::5";
const UNKNOWN: &str = "198.51.100.7";

fn places() -> PlacesFile {
    PlacesFile::new(
        "GeoLite2-City",
        &[
            ("203.0.113.0/24", place("Lisbon", "Lisbon District", "Portugal")),
            ("2001:db8::/32", place("", "Wales", "United Kingdom")),
        ],
    )
}

/// Behind a proxy, as where people come from many networks.
async fn stack_with(places: Option<&PlacesFile>) -> Stack {
    let builder = Stack::builder().with("TRUSTED_PROXIES", "127.0.0.0/8");
    match places {
        Some(places) => builder.with("COMPYMAC_PLACES", places.path().display().to_string()),
        None => builder,
    }
    .start()
    .await
}

/// Signs in with the password, through the proxy from this address.
async fn sign_in_from(client: &Client, person: &Person, hops: &str, kind: Kind) -> SignedIn {
    let ask = SignIn {
        email: person.email.clone(),
        password: Password::typed(&person.password),
        binding: None,
        client: kind,
        stay: false,
    };
    let request = client
        .request(Method::POST, routes::SIGN_IN)
        .header("X-Forwarded-For", hops)
        .json(&ask);
    client.send(request).await.expect()
}

async fn place_of(client: &Client, signed_in: &SignedIn) -> Option<String> {
    let devices = client.devices().await;
    let found = devices
        .into_iter()
        .find(|device| device.id == signed_in.me.device);
    found.expect("the device is listed").place
}

#[tokio::test]
async fn a_device_shows_roughly_where_it_signed_in_and_an_unknown_network_shows_nothing() {
    let file = places();
    let stack = stack_with(Some(&file)).await;
    let (person, window) = Person::join(&stack).await;
    let client = Client::native(&stack.url());
    for (hops, expected) in [
        (LISBON, Some("Lisbon, Portugal")),
        (WALES, Some("Wales, United Kingdom")),
        (UNKNOWN, None),
        // what stands before the last foreign hop is anybody's word
        (&format!("{LISBON}, {UNKNOWN}"), None),
        (&format!("{UNKNOWN}, {LISBON}"), Some("Lisbon, Portugal")),
    ] {
        let laptop = sign_in_from(&client, &person, hops, native("Laptop")).await;
        assert_eq!(place_of(&window, &laptop).await.as_deref(), expected, "{hops}");
    }
    let own = window.me().await.device;
    let devices = window.devices().await;
    assert!(
        devices
            .iter()
            .any(|device| device.id == own && device.place.is_none()),
        "nobody knows where this machine is"
    );
    let listed = stack
        .admin_json(&["devices", "list", person.email.as_str()])
        .await;
    let listed = listed.as_array().expect("a list").iter();
    let from: Vec<&str> = listed
        .filter_map(|device| device.get("place")?.as_str())
        .collect();
    assert_eq!(from.len(), 3, "an operator sees the same: {from:?}");
    assert!(from.contains(&"Wales, United Kingdom"), "{from:?}");
    let shown = window.visit(page::SETTINGS).await.text();
    let places = shown.matches("data-testid=\"place\"").count();
    assert_eq!(places, 3, "two from Lisbon, one from Wales: {shown}");
    assert!(shown.contains("Lisbon, Portugal") && shown.contains("Wales, United Kingdom"));
}

#[tokio::test]
async fn a_stranger_who_is_no_proxy_names_no_place() {
    let file = places();
    let stack = Stack::builder()
        .with("COMPYMAC_PLACES", file.path().display().to_string())
        .start()
        .await;
    let (person, window) = Person::join(&stack).await;
    let client = Client::native(&stack.url());
    let laptop = sign_in_from(&client, &person, LISBON, native("Laptop")).await;
    assert_eq!(place_of(&window, &laptop).await, None);
}

#[tokio::test]
async fn letters_about_an_account_say_from_where_it_was_done() {
    let file = places();
    let stack = stack_with(Some(&file)).await;
    let (person, _) = Person::join(&stack).await;
    let address = person.email.as_str();
    let fresh = browser(&stack);
    sign_in_from(&fresh, &person, LISBON, Kind::Browser).await;
    let letter = stack.letter_about(address, "new device").await;
    let html = letter.html.clone().unwrap_or_default();
    for text in [&letter.text, &html] {
        assert!(text.contains("UTC, from Lisbon, Portugal"), "{text}");
    }
    // whoever has it acts from somewhere else, and the letter says where
    let security = fresh.get(page::SECURITY).await;
    let form = security.form(page::FORM_PASSWORD);
    let mut fields = form.hidden.clone();
    fields.push(("password".to_owned(), "walnut-ferry-copper-drizzle".to_owned()));
    let request = fresh
        .request(Method::POST, &form.action)
        .header("X-Forwarded-For", WALES)
        .form(&fields);
    fresh.send(request).await;
    let letter = stack.letter_about(address, "password was changed").await;
    assert!(
        letter.text.contains("UTC, from Wales, United Kingdom"),
        "{}",
        letter.text
    );
    // and where whoever asked for a letter is, before its reader presses anything
    for (asking, subject) in [(page::FORGOT, "Choose a new"), (page::LETTER_ASK, "Sign in")] {
        let window = browser(&stack);
        let form = window.get(asking).await.form(asking);
        let mut fields = form.hidden.clone();
        fields.push(("email".to_owned(), address.to_owned()));
        let request = window
            .request(Method::POST, &form.action)
            .header("X-Forwarded-For", LISBON)
            .form(&fields);
        window.send(request).await.succeeds();
        let letter = stack.letter_about(address, subject).await;
        let says = letter.text.contains("asked for on") && letter.text.contains("UTC, from Lisbon, Portugal");
        assert!(says, "{}", letter.text);
    }
}

#[tokio::test]
async fn without_the_setting_no_place_is_spoken_of() {
    let stack = stack_with(None).await;
    let (person, window) = Person::join(&stack).await;
    let fresh = browser(&stack);
    sign_in_from(&fresh, &person, LISBON, Kind::Browser).await;
    let answer = window.get(routes::DEVICES).await.text();
    assert!(!answer.contains("place"), "{answer}");
    let shown = window.visit(page::SETTINGS).await.text();
    assert!(!shown.contains("Signed in from"), "{shown}");
    let letter = stack.letter_about(person.email.as_str(), "new device").await;
    assert!(!letter.text.contains("from"), "{}", letter.text);
}

#[tokio::test]
async fn a_file_that_knows_no_places_stops_the_start_and_is_named() {
    let stack = Stack::start().await;
    let url = stack.url();
    let noise = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(noise.path(), "hidden-word").expect("noise in it");
    let numbers = PlacesFile::new("GeoLite2-ASN", &[("203.0.113.0/24", place("", "", "Portugal"))]);
    for (path, why) in [
        ("/nowhere/places.mmdb".as_ref(), "cannot be read"),
        (noise.path(), "no database"),
        (numbers.path(), "GeoLite2-ASN"),
    ] {
        let path = path.display().to_string();
        let mut settings = stack.settings();
        settings.extend([("PUBLIC_URL", url.as_str()), ("COMPYMAC_PLACES", &path)]);
        let ended = run_to_end("sync-server", &settings).await;
        ended.refused("COMPYMAC_PLACES");
        assert!(
            ended.said.contains(why) && ended.said.contains(&path),
            "{}",
            ended.said
        );
        assert!(!ended.said.contains("hidden-word"), "{}", ended.said);
    }
}

#[tokio::test]
async fn who_is_asked_for_an_app_reads_when_and_from_where_it_asks() {
    let file = places();
    let stack = stack_with(Some(&file)).await;
    let (_, browser) = Person::join(&stack).await;
    for (hops, expected) in [(LISBON, "Lisbon, Portugal (203.0.113.9)"), (UNKNOWN, UNKNOWN)] {
        let app = App::new(&stack);
        let push = app
            .client
            .request(Method::POST, routes::PAR)
            .header("X-Forwarded-For", hops)
            .json(&app.request());
        let pushed: PushedAnswer = app.client.send(push).await.expect();
        let question = browser.get(&authorize_path(&pushed.request_uri)).await;
        assert_eq!(question.text_of("asked-from"), expected);
        assert!(question.text().contains("just now"), "{}", question.text());
    }
}
