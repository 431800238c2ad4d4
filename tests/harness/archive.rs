//! A copy of everything that somebody has, unpacked.

use serde_json::Value;
use std::io::{Cursor, Read as _};
use zip::ZipArchive;

#[derive(Debug)]
pub struct Archive(ZipArchive<Cursor<Vec<u8>>>);

impl Archive {
    pub fn of(bytes: Vec<u8>) -> Self {
        let archive = ZipArchive::new(Cursor::new(bytes));
        Self(archive.unwrap_or_else(|error| panic!("that is no archive: {error}")))
    }

    pub fn names(&self) -> Vec<String> {
        let names = self.0.file_names().map(|name| match name {
            Ok(name) => name.into_owned(),
            Err(error) => panic!("a file without a name: {error}"),
        });
        names.collect()
    }

    /// A file, by how its name ends.
    pub fn text(&mut self, ending: &str) -> String {
        let name = self.names().into_iter().find(|name| name.ends_with(ending));
        let name = name.unwrap_or_else(|| panic!("no {ending} in {:?}", self.names()));
        let mut text = String::new();
        let mut file = self
            .0
            .by_name(&name)
            .unwrap_or_else(|error| panic!("opening {name}: {error}"));
        file.read_to_string(&mut text)
            .unwrap_or_else(|error| panic!("reading {name}: {error}"));
        text
    }

    pub fn json(&mut self, ending: &str) -> Value {
        serde_json::from_str(&self.text(ending)).unwrap_or_else(|error| panic!("{ending}: {error}"))
    }
}
