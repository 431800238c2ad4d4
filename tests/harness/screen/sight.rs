//! What can be seen of a page as it stands, in each look and at each size that the product is made for.

use super::Screen;
use crate::wait::until;
use serde::Deserialize;

const LOOK: &str = include_str!("sight.js");

/// Width and height of a window, in pixels: one that has the screen, and half a one.
pub const SIZES: [[u32; 2]; 2] = [[1280, 800], [900, 700]];
pub const SCHEMES: [&str; 2] = ["light", "dark"];

/// What a look at a page finds.
#[derive(Debug, Deserialize)]
pub struct Sight {
    /// What is wrong, as sentences: text that is cut off or pale, a page that is wider than its window.
    pub faults: Vec<String>,
    /// The texts that are in sight without scrolling, a line each.
    pub seen: String,
    /// What all stands on, as CSS has it.
    pub ground: String,
}

impl Screen {
    /// A look at the page as it stands.
    pub async fn sight(&self) -> Sight {
        let found = self.evaluate(LOOK).await;
        serde_json::from_value(found).unwrap_or_else(|error| panic!("looking at the page: {error}"))
    }

    /// Keeps a picture of the app in each look and at each size; gives what is wrong there, and where these words are not in sight.
    pub async fn faults_in_all_looks(&self, name: &str, words: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for [width, height] in SIZES {
            self.resize(width, height).await;
            self.wait_wide(width).await;
            for scheme in SCHEMES {
                let wear = format!("document.documentElement.dataset.theme = '{scheme}'");
                self.evaluate(&wear).await;
                let at = format!("{name}-{scheme}-{width}x{height}");
                let sight = self.sight().await;
                self.picture(&at).await;
                faults.extend(sight.faults_of(&at, words));
            }
        }
        self.evaluate("delete document.documentElement.dataset.theme")
            .await;
        faults
    }

    /// A window is drawn anew a moment after it was told to be.
    async fn wait_wide(&self, width: u32) {
        until(&format!("the page to be {width} wide"), async || {
            let wide = self.evaluate("return window.innerWidth").await.as_u64()?;
            (wide.abs_diff(width.into()) <= 2).then_some(())
        })
        .await;
    }
}

impl Sight {
    /// All that is wrong at this place, where these words have to be in sight.
    pub fn faults_of(self, at: &str, words: &str) -> Vec<String> {
        let is_seen = !self.seen.is_empty() && self.seen.contains(words);
        let unseen = (!is_seen).then(|| format!("{words:?} is not in sight, only {:?}", self.seen));
        let all = self.faults.into_iter().chain(unseen);
        all.map(|fault| format!("{at}: {fault}")).collect()
    }
}
