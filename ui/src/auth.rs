//! The room before the door: signing in and up, and confirming an address.
//!
//! In a browser these are plain forms that the server answers; in the desktop's window the core is asked instead.

pub mod check_mail;
pub mod gate;
pub mod sign_in;
pub mod sign_up;
pub mod waiting;

pub use check_mail::CheckMail;
pub use sign_in::SignIn;
pub use sign_up::SignUp;
