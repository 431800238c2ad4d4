//! One door in: what makes a device or lets one back in, and who may say that both steps of a sign-in are proven.

use crate::rust_text;
use crate::tree::{self, Source};

const DEVICES: &str = "sync-server/src/auth/devices.rs";
const FINISH: &str = "sync-server/src/auth/finish.rs";

/// A file, and how often it says so where once more would be another door.
type Place = (&'static str, Option<usize>);

/// What only these files may say, however it is spelled and spaced, and why it matters.
type Only = (&'static str, &'static [Place], &'static str);

const ONE_STATEMENT: &str = "devices are made by one statement";
const WHICH_TABLE: &str = "which table is written to stands in the statement";
const FRESH_PROOF: &str = "a device gets another cookie by a fresh proof alone";
const OUT_IS_OUT: &str = "a device that was signed out stays so";

/// Looked for in the whole text, since SQL stands in strings.
const IN_SQL: &[Only] = &[
    ("insert into sessions ", &[(DEVICES, Some(1))], ONE_STATEMENT),
    ("merge into sessions ", &[], ONE_STATEMENT),
    ("copy sessions ", &[], ONE_STATEMENT),
    ("insert into {", &[], WHICH_TABLE),
    (
        "update sessions ",
        &[(DEVICES, None)],
        "devices are changed in one file",
    ),
    (", session_token = ", &[(DEVICES, Some(1))], FRESH_PROOF),
    ("set session_token = ", &[], FRESH_PROOF),
    ("revoked_at = null ", &[], OUT_IS_OUT),
    ("revoked_at = default ", &[], OUT_IS_OUT),
    ("revoked_at = case ", &[], OUT_IS_OUT),
    ("revoked_at = $", &[], OUT_IS_OUT),
];

const ONE_DOOR: &str = "devices are made by finish_sign_in alone, whatever the way in";
const BY_ITS_NAME: &str = "who makes a device says `devices::insert`, so that it is found";

const IN_CODE: &[Only] = &[
    ("devices::insert", &[(FINISH, Some(1))], ONE_DOOR),
    (" insert (", &[], BY_ITS_NAME),
    (" insert as", &[], BY_ITS_NAME),
    (" insert }", &[], BY_ITS_NAME),
    (" insert ,", &[], BY_ITS_NAME),
    ("devices::*", &[], BY_ITS_NAME),
    ("devices as", &[], BY_ITS_NAME),
    (
        "step : Step::Second",
        &[
            // both were asked for in this very sign-in, or a passkey answers for both
            ("sync-server/src/auth/second_step.rs", None),
            ("sync-server/src/auth/deletion.rs", None),
            ("sync-server/src/auth/passkey/entering.rs", None),
            // a browser that had proven both let a program in
            ("sync-server/src/auth/native/grants.rs", None),
            ("sync-server/src/auth/native/device_flow.rs", None),
        ],
        "who says that the second step is proven has to be known here",
    ),
];

/// Words and signs, one blank between them; a path and a call of a method stay one word.
fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_alphanumeric() || c == '_' || c == ' ' {
            spaced.push(c);
        } else {
            spaced.extend([' ', c, ' ']);
        }
    }
    let words: Vec<&str> = spaced.split_whitespace().collect();
    format!(" {} ", words.join(" "))
        .replace(" : : ", "::")
        .replace(" . ", ".")
}

/// As PostgreSQL reads it: case, lines, quotes and what may stand before a table's name make no difference.
fn as_sql(text: &str) -> String {
    let text = text.to_lowercase().replace("\\n", " ").replace("\\t", " ");
    let text = spaced(&text.replace(['"', '\\'], " "));
    text.replace("public.", "").replace(" only ", " ")
}

fn as_code(text: &str) -> String {
    // many stored nouns have one of their own: to declare it is not to call it
    spaced(&rust_text::code(text)).replace(" fn insert ", " fn of_its_own ")
}

/// Where it is said elsewhere than it may be, and a place that is named and says it otherwise than here: a place that says
/// nothing any more would let the next one pass unseen.
fn wrongly_said(sources: &[(&Source, String)], (words, places, why): &Only) -> Vec<String> {
    let times = |text: &str| text.matches(words).count();
    let strangers = sources.iter().filter(|(source, text)| {
        let is_place = places.iter().any(|(place, _)| source.path == *place);
        !is_place && times(text) > 0
    });
    let mut faults: Vec<String> = strangers
        .map(|(source, _)| format!("{}: `{words}`: {why}", source.path))
        .collect();
    for (place, wanted) in *places {
        let Some((_, text)) = sources.iter().find(|(source, _)| source.path == *place) else {
            continue;
        };
        let found = times(text);
        if wanted.map_or(found == 0, |wanted| found != wanted) {
            faults.push(format!("{place}: `{words}` {found} times: {why}"));
        }
    }
    faults
}

fn faults(sources: &[Source]) -> Vec<String> {
    let ours = sources
        .iter()
        .filter(|source| source.path.starts_with("sync-server/src/"));
    let (sql, code): (Vec<_>, Vec<_>) = ours
        .map(|source| ((source, as_sql(&source.text)), (source, as_code(&source.text))))
        .unzip();
    let in_sql = IN_SQL.iter().flat_map(|only| wrongly_said(&sql, only));
    let in_code = IN_CODE.iter().flat_map(|only| wrongly_said(&code, only));
    in_sql.chain(in_code).collect()
}

#[test]
fn every_device_is_made_at_the_one_door() {
    let sources = tree::rust();
    for (place, _) in IN_SQL
        .iter()
        .chain(IN_CODE)
        .flat_map(|(_, places, _)| places.iter())
    {
        assert!(
            sources.iter().any(|source| source.path == *place),
            "{place} is not there"
        );
    }
    tree::assert_none("the door", &faults(&sources));
}

/// What a file that is no place of it would be found by.
fn seen(text: &str) -> Vec<String> {
    faults(&[Source::sample("sync-server/src/auth/operator.rs", text)])
}

#[test]
fn a_second_statement_is_seen_however_it_is_written() {
    for text in [
        r#"query!("insert into sessions (id) values ($1)")"#,
        r#"query!("INSERT INTO Sessions (id) values ($1)")"#,
        r#"query!("insert  into	sessions (id) values ($1)")"#,
        "query!(\"insert into\n            sessions (id) values ($1)\")",
        "query!(\"insert into \\\n    sessions (id) values ($1)\")",
        r#"query("insert into\nsessions (id) values ($1)")"#,
        r#"query!("insert into public.sessions(id) values ($1)")"#,
        r#"query!("insert into \"sessions\" (id) values ($1)")"#,
        r##"query!(r#"insert into "public"."sessions" (id) values ($1)"#)"##,
        r#"query!("merge into sessions using new on false")"#,
        r#"query!("copy sessions from stdin")"#,
        r#"query(&format!("insert into {table} (id) values ($1)"))"#,
        r#"query!("update sessions set user_id = $1")"#,
        r#"query!("UPDATE ONLY sessions SET session_token=$1")"#,
        r#"query!("with x as (select 1) update sessions s set session_token = $1")"#,
        r#"query!("insert into t (id) values ($1) on conflict (id) do update set name = $2, session_token = $3")"#,
        r#"query!("on conflict (id) do update set revoked_at=NULL")"#,
        r#"query!("on conflict (id) do update set revoked_at = $2")"#,
    ] {
        assert!(!seen(text).is_empty(), "{text}");
    }
    for text in [
        r#"query!("select session_token from sessions where revoked_at is null")"#,
        r#"query!("insert into sessions_of_agents (id) values ($1)")"#,
        r#"query!("update agent_sessions set title = $1")"#,
        r#"query!("update signing_keys set revoked_at = now() where id = $1")"#,
    ] {
        let seen = seen(text);
        assert!(seen.is_empty(), "{text}: {seen:?}");
    }
}

#[test]
fn a_second_caller_is_seen_however_it_names_it() {
    for text in [
        "devices::insert(&mut tx, user, &new).await?;",
        "devices :: insert(&mut tx, user, &new).await?;",
        "devices::\n    insert(&mut tx, user, &new).await?;",
        "use super::devices::insert;",
        "use super::devices::{NewDevice, insert};",
        "use super::devices::{insert, NewDevice};",
        "use super::devices::{self, insert as put};",
        "use super::devices::*;\nasync fn f() { insert(&mut tx, user, &new).await }",
        "use super::devices as d;\nasync fn f() { d::insert(&mut tx, user, &new).await }",
        "use super::{devices as d};",
        "Entrance { step: Step::Second, user }",
        "Entrance { step : Step :: Second, user }",
        "Entrance {\n    user,\n    step:\n        Step::Second,\n}",
    ] {
        assert!(!seen(text).is_empty(), "{text}");
    }
    for text in [
        "names.insert(name, value); HashMap::insert(&mut names, name, value);",
        "// devices::insert makes one, and so says this line: insert (",
        "use super::devices::{self, NewDevice};",
        "Entrance { step: Step::First, user }",
    ] {
        let seen = seen(text);
        assert!(seen.is_empty(), "{text}: {seen:?}");
    }
}

#[test]
fn a_second_door_in_the_right_file_is_seen_too() {
    let twice = "query!(\"insert into sessions (id)\"); query!(\"insert into sessions (id)\")";
    let said = |path: &str, text: &str| {
        let mut faults = faults(&[Source::sample(path, text)]);
        faults.retain(|fault| fault.contains("2 times"));
        faults.len()
    };
    assert_eq!(said(DEVICES, twice), 1);
    assert_eq!(
        said(FINISH, "devices::insert(db, a, &b); devices::insert(db, a, &b)"),
        1
    );
    let around = faults(&[Source::sample(
        DEVICES,
        "fn insert() {} pub fn another() { insert() }",
    )]);
    assert!(
        around.iter().any(|fault| fault.contains(BY_ITS_NAME)),
        "{around:?}"
    );
    // and one that says nothing any more
    assert!(
        faults(&[Source::sample(DEVICES, "")])
            .iter()
            .any(|fault| fault.contains("0 times"))
    );
}
