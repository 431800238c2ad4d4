//! What the page knows: the scene, the ways to change it, and what keeps it in step with the body.

pub mod follow;
pub mod keep;
pub mod linked;
pub mod listen;
pub mod place;
pub mod scene;
pub mod stage;
pub mod transcript;

pub use linked::Linked;
pub use place::Place;
pub use scene::{Action, Scene, Sought};
pub use stage::{Ahead, Stage};
