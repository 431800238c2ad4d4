//! What the pages say when the server draws them: claims about the markup, on every screen there is.

mod contrast;
mod fixture;
mod found;
mod notices;

use fixture::{REPLY, Screen, boot, message, opened, row, screens, session, signed_in, stopped};
use notices::notices;
use protocol::sync::Role;
use protocol::view::{Body, Boot, Obstacle};
use protocol::{Code, Problem};
use ui::page::{Shell, Theme, render, render_notice, shell};

async fn drawn() -> Vec<(&'static str, String)> {
    let mut pages = Vec::new();
    for screen in screens() {
        pages.push((screen.name, render(screen.boot, &screen.path).await));
    }
    for (name, notice) in notices() {
        pages.push((name, render_notice(notice).await));
    }
    pages
}

/// A session of one message.
fn conversation_of(role: Role, content: &str) -> Screen {
    session("one", opened(vec![message(role, content, 1)], row("One", "", 1)))
}

#[tokio::test]
async fn no_page_has_an_inline_style_or_script() {
    for (name, page) in drawn().await {
        for forbidden in [
            " style=",
            "<style",
            "<script",
            " onclick",
            " onsubmit",
            "javascript:",
        ] {
            assert!(!page.contains(forbidden), "{name} has {forbidden}");
        }
    }
}

#[tokio::test]
async fn what_only_script_can_look_for_is_not_offered_without_it() {
    // The app's page has script always.
    let screens = screens().into_iter();
    for screen in screens.filter(|screen| screen.boot.body == Body::Browser) {
        let page = render(screen.boot, &screen.path).await;
        assert!(!page.contains("data-testid=\"search"), "{}", screen.name);
    }
}

#[tokio::test]
async fn every_page_has_one_first_heading_and_one_main_part() {
    for (name, page) in drawn().await {
        assert_eq!(page.matches("<h1").count(), 1, "{name}");
        assert_eq!(page.matches("<main").count(), 1, "{name}");
    }
}

#[tokio::test]
async fn every_form_posts_and_carries_the_token_that_proves_where_it_came_from() {
    for (name, page) in drawn().await {
        for form in page.split("<form").skip(1) {
            let form = form.split("</form").next().unwrap();
            assert!(
                form.contains("method=\"post\"") && form.contains("action=\"/"),
                "{name}: {form}"
            );
            assert!(form.contains("name=\"csrf\""), "{name}: {form}");
        }
    }
}

#[tokio::test]
async fn every_id_on_a_page_is_there_once() {
    for (name, page) in drawn().await {
        let mut ids: Vec<&str> = page
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name}: {ids:?}");
    }
}

#[tokio::test]
async fn every_button_and_field_has_a_name_that_can_be_read_out() {
    for (name, page) in drawn().await {
        for button in page.split("<button").skip(1) {
            let button = button.split("</button").next().unwrap();
            let text: String = without_tags(button.split_once('>').unwrap().1);
            assert!(
                button.contains("aria-label=") || !text.trim().is_empty(),
                "{name}: {button}"
            );
        }
    }
}

#[tokio::test]
async fn the_server_of_one_more_account_is_asked_for_by_a_label_that_is_seen() {
    let boot = Boot {
        body: Body::Desktop,
        ..signed_in()
    };
    let page = render(boot, "/settings").await;
    let (before, _) = page.split_once("data-testid=\"server\"").unwrap();
    let (_, label) = before.rsplit_once("<label").unwrap();
    assert!(!label.contains("</label>"), "{label}");
    assert_eq!(without_tags(label.split_once('>').unwrap().1), "Server");
}

#[tokio::test]
async fn what_stops_a_device_is_said_with_what_becomes_of_what_was_written() {
    for (by, body, words) in [
        (Obstacle::Disk, Body::Desktop, "once you have made room"),
        (Obstacle::Unwanted, Body::Desktop, "Please update the app"),
        (Obstacle::Unwanted, Body::Browser, "Load the page anew"),
        (Obstacle::Resets, Body::Desktop, "tried again in ten minutes"),
        (Obstacle::Resets, Body::Browser, "What you wrote is kept"),
    ] {
        let screen = stopped("stopped", by, body);
        let page = render(screen.boot, &screen.path).await;
        let (_, told) = page.split_once("data-testid=\"stopped\"").unwrap();
        let (told, _) = told.split_once("</div>").unwrap();
        assert!(told.contains(words), "{by:?}, {body:?}: {told}");
        assert!(
            page.contains("data-state=\"stopped\""),
            "{by:?}: the line below the list"
        );
        assert!(page.contains("Keep this for later."), "{by:?}: reading goes on");
    }
}

fn without_tags(markup: &str) -> String {
    markup
        .split('<')
        .enumerate()
        .map(|(n, part)| {
            if n == 0 {
                part
            } else {
                part.split_once('>').map_or("", |p| p.1)
            }
        })
        .collect()
}

#[tokio::test]
async fn a_reply_cannot_bring_markup_links_or_pictures_of_its_own() {
    let hostile =
        format!("{REPLY}\n[x](javascript:alert(1)) [y](data:text/html,z) <img src=x onerror=alert(1)>");
    let screen = conversation_of(Role::Assistant, &hostile);
    let page = render(screen.boot, &screen.path).await;
    assert!(
        page.contains("&lt;script&gt;alert(\"not run\")&lt;/script&gt;"),
        "{page}"
    );
    assert!(!page.contains("<img") && !page.contains("href=\"javascript") && !page.contains("href=\"data"));
    assert!(page.contains("tracker.example"), "the picture's host is named");
    assert!(
        page.contains("(evil.example)"),
        "a link that names another host tells the real one"
    );
}

#[tokio::test]
async fn what_a_person_writes_is_shown_as_written() {
    let screen = conversation_of(Role::User, "<b>**bold**</b>");
    let page = render(screen.boot, &screen.path).await;
    assert!(page.contains("&lt;b&gt;**bold**&lt;/b&gt;"));
}

#[tokio::test]
async fn the_pages_outside_name_the_fields_that_the_server_reads() {
    let page = render(boot(Body::Browser), "/sign-in").await;
    for part in [
        "action=\"/auth/sign-in\"",
        "name=\"email\"",
        "name=\"password\"",
        "action=\"/auth/google/start\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("Sign in with your browser"));
}

#[tokio::test]
async fn a_stranger_who_asks_for_a_page_inside_sees_the_way_in() {
    let page = render(boot(Body::Browser), "/settings").await;
    assert!(page.contains("sign-in-form") && !page.contains("data-testid=\"devices\""));
}

#[tokio::test]
async fn what_was_typed_comes_back_with_the_problem() {
    let text = "a <text> that was refused";
    let typed = protocol::view::Typed {
        text: text.to_owned(),
        ..Default::default()
    };
    let refused = Boot {
        typed,
        problem: Some(Problem::new(Code::TooLarge)),
        ..signed_in()
    };
    let page = render(refused, "/").await;
    assert!(
        page.contains("a &lt;text&gt; that was refused</textarea>"),
        "{page}"
    );
    assert!(page.contains("role=\"alert\""));
}

#[tokio::test]
async fn a_page_is_drawn_the_same_each_time_but_for_its_fresh_ids() {
    for screen in screens() {
        let one = render(screen.boot.clone(), &screen.path).await;
        let two = render(screen.boot, &screen.path).await;
        assert_eq!(without_values(&one), without_values(&two), "{}", screen.name);
    }
}

/// Hidden fields hold ids that are fresh with every page.
fn without_values(page: &str) -> String {
    page.split("<input value=\"")
        .map(|part| part.split_once('>').map_or(part, |p| p.1))
        .collect()
}

#[test]
fn the_document_embeds_data_that_cannot_end_its_element() {
    let typed = protocol::view::Typed {
        text: "</script><script>alert(1)</script>\u{2028}".to_owned(),
        ..Default::default()
    };
    let boot = Boot {
        typed,
        ..boot(Body::Browser)
    };
    let page = shell(&Shell {
        title: "A <title>",
        theme: Theme::Dark,
        body: "<main></main>",
        boot: Some((&boot, "/s/\"><b")),
        style: "/app/style.css",
        script: Some("/app/boot.js"),
        module: None,
        preload: None,
    });
    assert!(page.contains("A &lt;title&gt;"));
    assert!(page.contains("<html lang=\"en\" data-theme=\"dark\">"));
    assert_eq!(page.matches("</script>").count(), 2);
    let json = page
        .split("data-path=\"/s/&quot;&gt;&lt;b\">")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    assert_eq!(serde_json::from_str::<Boot>(json).unwrap(), boot);
}
