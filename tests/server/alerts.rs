//! The alert rules speak of what the server really counts.

use harness::{Client, Person, Stack, until};
use protocol::auth::Client as Kind;
use protocol::sync::{Digest, VerifyAnswer, VerifyAsk};
use protocol::{Code, routes};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(default, rename = "for")]
    lasts: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn rules() -> Vec<Rule> {
    let text = std::fs::read_to_string(harness::root().join("docs/alerts.yml")).expect("the file of rules");
    let file: File = serde_norway::from_str(&text).expect("a file of rules");
    file.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// What is in none of these brackets.
fn without(text: &str, open: char, close: char) -> String {
    let mut depth = 0;
    let mut out = String::new();
    for c in text.chars() {
        if c == open {
            depth += 1;
        }
        if depth == 0 {
            out.push(c);
        }
        if c == close {
            depth -= 1;
            out.push(' ');
        }
    }
    out
}

/// The metrics that an expression reads: words that are no function and no operator.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let plain = without(&without(expression, '{', '}'), '[', ']');
    let chars: Vec<char> = plain.chars().collect();
    let mut found = BTreeSet::new();
    let mut word = String::new();
    for (at, c) in chars.iter().chain(&[' ']).enumerate() {
        if c.is_ascii_alphanumeric() || *c == '_' {
            word.push(*c);
            continue;
        }
        let is_called = chars.get(at..).into_iter().flatten().find(|c| !c.is_whitespace()) == Some(&'(');
        let is_metric = word.contains('_') && word.starts_with(|c: char| c.is_ascii_alphabetic());
        if is_metric && !is_called {
            found.insert(word.clone());
        }
        word.clear();
    }
    found
}

/// The labels that an expression asks for of a metric: its name and the label's.
fn labels_in(expression: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (before, inside) in expression.split('}').filter_map(|part| part.rsplit_once('{')) {
        let metric: String = before
            .chars()
            .rev()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let metric: String = metric.chars().rev().collect();
        for matcher in inside.split(',') {
            let name: String = matcher
                .trim()
                .chars()
                .take_while(|c| *c != '=' && *c != '!')
                .collect();
            found.insert((metric.clone(), name));
        }
    }
    found
}

/// Everything that a node counts, in Prometheus' text.
async fn counted(stack: &Stack) -> String {
    let client = Client::browser(&stack.url(), &stack.url());
    client.get(routes::METRICS).await.text()
}

fn value_of(text: &str, metric: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split(' ').next() == Some(metric))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn every_rule_says_what_happened_and_what_to_do() {
    let rules = rules();
    assert!(rules.len() >= 8, "{} rules", rules.len());
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule.alert.as_str()).collect();
    assert_eq!(names.len(), rules.len(), "each has a name of its own");
    for rule in &rules {
        let name = &rule.alert;
        for said in ["summary", "description"] {
            assert!(
                rule.annotations.get(said).is_some_and(|text| text.len() > 20),
                "{name}: {said}"
            );
        }
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(
            matches!(severity, Some("page" | "ticket")),
            "{name}: {severity:?}"
        );
        assert!(
            !metrics_in(&rule.expr).is_empty(),
            "{name} reads nothing: {}",
            rule.expr
        );
        let lasts = rule.lasts.as_deref().unwrap_or("0m");
        assert!(lasts.ends_with('m'), "{name}: {lasts}");
        let opened = rule.expr.matches('(').count();
        assert_eq!(opened, rule.expr.matches(')').count(), "{name}: {}", rule.expr);
    }
}

/// A count that begins with what a rule waits for has not grown, as far as the rule can see.
#[tokio::test]
async fn whatever_a_rule_waits_for_is_counted_before_it_happens() {
    let stack = Stack::start().await;
    let text = counted(&stack).await;
    let mut read = BTreeSet::new();
    for rule in rules() {
        let within = rule.expr.strip_prefix("increase(");
        if let Some((metric, _)) = within.and_then(|within| within.split_once('[')) {
            assert_eq!(value_of(&text, metric), Some(0.0), "{}: {metric}", rule.alert);
            read.insert(metric.to_owned());
        }
    }
    assert!(read.len() >= 4, "{read:?}");
}

#[tokio::test]
async fn credential_stuffing_that_is_found_is_what_a_rule_waits_for() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let client = Client::browser(&stack.url(), &stack.url());
    for _ in 0..15 {
        let answer = Person::fresh().try_sign_in(&client, Kind::Browser).await;
        answer.refused(Code::InvalidCredentials);
    }
    let shut = Person::fresh().try_sign_in(&client, Kind::Browser).await;
    shut.refused(Code::RateLimited);
    assert_eq!(
        value_of(&counted(&stack).await, "stuffing_found_total"),
        Some(1.0)
    );
    let waits = |rule: &Rule| rule.expr == "increase(stuffing_found_total[1h]) > 0";
    let rule = rules().into_iter().find(waits).expect("a rule that waits for it");
    assert_eq!(rule.labels.get("severity").map(String::as_str), Some("page"));
}

#[tokio::test]
async fn a_copy_that_differs_is_what_a_rule_waits_for() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let id = client.create_session("Differs").await;
    client.note(id, "One").await;
    let history = client.history(id).await;
    let digest = Digest {
        id,
        lo: history.lo,
        hi: history.hi,
        count: 1,
        xor: "0".repeat(16),
    };
    let ask = VerifyAsk {
        cursor: client.bootstrap().await.as_of,
        sessions: vec![digest],
    };
    let answer: VerifyAnswer = client.post(routes::VERIFY_CACHE, &ask).await.expect();
    assert_eq!(answer.differ, [id]);
    assert_eq!(
        value_of(&counted(&stack).await, "verify_mismatch_total"),
        Some(1.0)
    );
    let waits = |rule: &Rule| rule.expr == "increase(verify_mismatch_total[1h]) > 0";
    assert!(rules().iter().any(waits), "a rule waits for it");
}

#[test]
fn a_metric_is_told_from_a_function() {
    let read = metrics_in("sum(rate(a_total{b_c=\"d_e\"}[5m])) / max_over_time(f_g[1h]) > 0.5 and h_i < 2");
    assert_eq!(read.into_iter().collect::<Vec<_>>(), ["a_total", "f_g", "h_i"]);
}

#[tokio::test]
async fn every_metric_and_label_of_the_rules_is_counted_by_a_server() {
    let stack = Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with_gates()
        .start()
        .await;
    let (person, _) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    // a token that was used twice
    let stolen = laptop.tokens().refresh_token;
    for _ in 0..2 {
        laptop.refresh().await;
        laptop.me().await;
    }
    laptop.refresh_with(&stolen).await;
    // and passwords that are tried until there are too many
    let wrong = Person {
        password: "not-the-password-at-all".to_owned(),
        ..person.clone()
    };
    let client = Client::browser(&stack.url(), &stack.url());
    until("the limit to be reached", async || {
        let answer = wrong.try_sign_in(&client, Kind::Browser).await;
        (answer.problem().code == Code::RateLimited).then_some(())
    })
    .await;
    let text = until("the letters to be counted", async || {
        let text = counted(&stack).await;
        (text.contains("letters_total") && text.contains("letters_oldest_seconds")).then_some(text)
    })
    .await;
    for rule in rules() {
        for metric in metrics_in(&rule.expr) {
            let is_counted = text.lines().any(|line| {
                let name = line.split(['{', ' ']).next();
                !line.starts_with('#') && name == Some(metric.as_str())
            });
            assert!(is_counted, "{}: nobody counts {metric}\n{text}", rule.alert);
        }
        for (metric, label) in labels_in(&rule.expr) {
            let has_label = text.lines().any(|line| {
                line.starts_with(&format!("{metric}{{")) && line.contains(&format!("{label}=\""))
            });
            assert!(has_label, "{}: {metric} has no {label}", rule.alert);
        }
    }
    for said in [
        "refresh_total{result=\"theft\"}",
        "rate_limited_total{class=\"password\"}",
    ] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
    assert_eq!(value_of(&text, "redis_answers"), Some(1.0));

    stack.redis_gate().shut();
    until("Redis to be missed", async || {
        (value_of(&counted(&stack).await, "redis_answers") == Some(0.0)).then_some(())
    })
    .await;
    stack.redis_gate().open();
    until("Redis to be back", async || {
        (value_of(&counted(&stack).await, "redis_answers") == Some(1.0)).then_some(())
    })
    .await;
}
