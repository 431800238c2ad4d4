//! Where in the app one is: each place has one address, the same in the browser and in the desktop's window.

use protocol::SessionId;
use protocol::routes::page;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Home,
    Archived,
    Session(SessionId),
    Settings,
    SignIn,
    SignUp,
    CheckMail,
    /// An address that leads nowhere.
    Missing,
}

impl Place {
    /// Reads a path; a query or a fragment is ignored.
    pub fn parse(path: &str) -> Self {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match path.trim_end_matches('/') {
            "" | "/index.html" => Self::Home,
            page::ARCHIVED => Self::Archived,
            page::SETTINGS => Self::Settings,
            page::SIGN_IN => Self::SignIn,
            page::SIGN_UP => Self::SignUp,
            page::CHECK_MAIL => Self::CheckMail,
            other => other
                .strip_prefix("/s/")
                .and_then(|id| id.parse().ok())
                .map_or(Self::Missing, Self::Session),
        }
    }

    pub fn path(self) -> String {
        match self {
            Self::Home | Self::Missing => page::HOME.to_owned(),
            Self::Archived => page::ARCHIVED.to_owned(),
            Self::Session(id) => page::session(id),
            Self::Settings => page::SETTINGS.to_owned(),
            Self::SignIn => page::SIGN_IN.to_owned(),
            Self::SignUp => page::SIGN_UP.to_owned(),
            Self::CheckMail => page::CHECK_MAIL.to_owned(),
        }
    }

    /// Whether it is for somebody who is not signed in.
    pub const fn is_outside(self) -> bool {
        matches!(self, Self::SignIn | Self::SignUp | Self::CheckMail)
    }

    /// What is shown to someone who is signed in, or is not.
    #[must_use]
    pub const fn for_someone(self, is_signed_in: bool) -> Self {
        match (is_signed_in, self.is_outside()) {
            (true, true) => Self::Home,
            (false, false) => Self::SignIn,
            (true, false) | (false, true) => self,
        }
    }

    pub const fn session(self) -> Option<SessionId> {
        match self {
            Self::Session(id) => Some(id),
            Self::Home
            | Self::Archived
            | Self::Settings
            | Self::SignIn
            | Self::SignUp
            | Self::CheckMail
            | Self::Missing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_at_its_own_address() {
        let session = Place::Session(SessionId::fresh());
        for place in [
            Place::Home,
            Place::Archived,
            session,
            Place::Settings,
            Place::SignIn,
            Place::SignUp,
            Place::CheckMail,
        ] {
            assert_eq!(Place::parse(&place.path()), place);
        }
    }

    #[test]
    fn a_query_is_not_part_of_the_address_and_nonsense_leads_nowhere() {
        assert_eq!(Place::parse("/settings?from=mail"), Place::Settings);
        assert_eq!(Place::parse("/s/not-an-id"), Place::Missing);
        assert_eq!(Place::parse("/nothing"), Place::Missing);
    }
}
