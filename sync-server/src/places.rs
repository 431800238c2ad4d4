//! Where in the world a network is, roughly and in words, by a database in MaxMind's format that the settings name. Without one,
//! nowhere.
//!
//! **Invariant:** nothing is asked of anybody else; an address leaves this process for no lookup.

use anyhow::{Context as _, ensure};
use maxminddb::Reader;
use serde::Deserialize;
use std::borrow::Cow;
use std::net::IpAddr;
use std::path::Path;

/// What each part of a place has at most; the longest name of a town has 85 letters, and is cut.
const CHARS: usize = 60;
/// Kinds of databases that know countries, as the makers call theirs (`GeoLite2-City`, `DBIP-Country-Lite`).
const KINDS: [&str; 3] = ["City", "Country", "Enterprise"];

pub struct Places(Option<Reader<Vec<u8>>>);

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.0.as_ref().map(|reader| &reader.metadata().database_type);
        write!(f, "Places({kind:?})")
    }
}

/// What is read of a network. Whatever is missing is left out.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    city: Named<'a>,
    #[serde(borrow, default)]
    subdivisions: Vec<Named<'a>>,
    #[serde(borrow, default)]
    country: Named<'a>,
}

#[derive(Default, Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    names: Names<'a>,
}

#[derive(Default, Deserialize)]
struct Names<'a> {
    #[serde(borrow)]
    en: Option<Cow<'a, str>>,
}

impl Places {
    /// No place is known.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Reads the file into memory, where it stays.
    pub fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            return Ok(Self::none());
        };
        let shown = file.display();
        let bytes =
            std::fs::read(file).with_context(|| format!("COMPYMAC_PLACES: {shown} cannot be read"))?;
        let reader = Reader::from_source(bytes)
            .with_context(|| format!("COMPYMAC_PLACES: {shown} is no database in MaxMind's format"))?;
        let kind = &reader.metadata().database_type;
        ensure!(
            KINDS.iter().any(|known| kind.contains(known)),
            "COMPYMAC_PLACES: {shown} knows no places: it must be a database of cities or of countries, but is {kind}"
        );
        Ok(Self(Some(reader)))
    }

    /// "Lisbon, Portugal"; "Portugal" where no more is known.
    pub fn of(&self, address: IpAddr) -> Option<String> {
        let found = self.0.as_ref()?.lookup(address).ok()?;
        words(&found.decode::<Record<'_>>().ok()??)
    }
}

fn words(record: &Record<'_>) -> Option<String> {
    let name = |named: &Named<'_>| {
        let name: String = named
            .names
            .en
            .as_deref()?
            .chars()
            .filter(|c| !c.is_control())
            .take(CHARS)
            .collect();
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    };
    let narrow = name(&record.city).or_else(|| record.subdivisions.first().and_then(name));
    match (narrow, name(&record.country)) {
        (Some(narrow), Some(country)) if narrow != country => Some(format!("{narrow}, {country}")),
        (Some(only), _) | (None, Some(only)) => Some(only),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(record: &str) -> Option<String> {
        words(&serde_json::from_str(record).unwrap())
    }

    #[test]
    fn a_place_is_as_narrow_as_it_is_known() {
        let country = r#""country": {"names": {"en": "Portugal", "pt": "Portugal"}}"#;
        let region = r#""subdivisions": [{"names": {"en": "Madeira"}}, {"names": {"en": "Funchal"}}]"#;
        let city = r#""city": {"geoname_id": 1, "names": {"en": "Lisbon"}}"#;
        for (record, expected) in [
            (
                format!("{{{city}, {region}, {country}}}"),
                Some("Lisbon, Portugal"),
            ),
            (format!("{{{region}, {country}}}"), Some("Madeira, Portugal")),
            (format!("{{{country}}}"), Some("Portugal")),
            (format!("{{{city}}}"), Some("Lisbon")),
            (r#"{"country": {"names": {"de": "Portugal"}}}"#.to_owned(), None),
            (r#"{"city": {"names": {"en": " \u0007 "}}}"#.to_owned(), None),
            ("{}".to_owned(), None),
        ] {
            assert_eq!(said(&record).as_deref(), expected, "{record}");
        }
        let city_state =
            r#"{"city": {"names": {"en": "Singapore"}}, "country": {"names": {"en": "Singapore"}}}"#;
        assert_eq!(said(city_state).as_deref(), Some("Singapore"));
    }

    #[test]
    fn without_a_file_nobody_is_anywhere() {
        let places = Places::open(None).unwrap();
        assert_eq!(places.of("203.0.113.9".parse().unwrap()), None);
    }
}
