//! The icons: 16 px, strokes of 1.5 px in the text's colour. Always beside a word, or under a name that is read out.

use yew::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Add,
    Archive,
    Unarchive,
    Back,
    Check,
    Clock,
    Copy,
    Computer,
    Down,
    Gear,
    GitHub,
    Globe,
    Google,
    Key,
    Mail,
    Microsoft,
    More,
    Offline,
    Pencil,
    Print,
    Search,
    Send,
    Stop,
    Trash,
    Warning,
}

impl Sign {
    const fn path(self) -> &'static str {
        match self {
            Self::Add => "M8 3v10M3 8h10",
            Self::Archive => "M2.5 3h11v3h-11zM3.5 6v7h9V6M6.5 8.75h3",
            Self::Unarchive => "M2.5 3h11v3h-11zM3.5 6v7h9V6M8 11.5v-4M6.25 9.25 8 7.5l1.75 1.75",
            Self::Back => "M10 3 5 8l5 5",
            Self::Check => "m3 8.5 3.25 3.25L13 5",
            Self::Clock => "M8 2.25a5.75 5.75 0 1 1 0 11.5 5.75 5.75 0 0 1 0-11.5M8 5v3.25l2 1.5",
            Self::Copy => "M5.75 5.75h7.5v7.5h-7.5zM10.25 5.75v-3h-7.5v7.5h3",
            Self::Computer => "M2.5 3h11v7.5h-11zM6 13.25h4M8 10.5v2.75",
            Self::Down => "M8 3v10M3.75 8.75 8 13l4.25-4.25",
            Self::Gear => {
                "M8 5.9a2.1 2.1 0 1 1 0 4.2 2.1 2.1 0 0 1 0-4.2M8 1.75v1.9M8 12.35v1.9M1.75 8h1.9M12.35 8h1.9M3.6 3.6l1.3 1.3M11.1 11.1l1.3 1.3M3.6 12.4l1.3-1.3M11.1 4.9l1.3-1.3"
            }
            Self::Globe => {
                "M8 2.25a5.75 5.75 0 1 1 0 11.5 5.75 5.75 0 0 1 0-11.5M2.25 8h11.5M8 2.25c-4 3.6-4 7.9 0 11.5M8 2.25c4 3.6 4 7.9 0 11.5"
            }
            Self::GitHub => {
                "M4.5 5.5v5M4.5 2a1.75 1.75 0 1 1 0 3.5 1.75 1.75 0 0 1 0-3.5M4.5 10.5a1.75 1.75 0 1 1 0 3.5 1.75 1.75 0 0 1 0-3.5M11.5 2a1.75 1.75 0 1 1 0 3.5 1.75 1.75 0 0 1 0-3.5M11.5 5.5c0 3-2.5 3.5-5.5 5"
            }
            Self::Google => "M12.2 4.2A5.5 5.5 0 1 0 13.5 8H8.25",
            Self::Key => {
                "M5.25 7.75a2.75 2.75 0 1 1 0 5.5 2.75 2.75 0 0 1 0-5.5M7.25 8.75 13 3M10.5 5.5 12.75 7.75"
            }
            Self::Mail => "M2.25 3.75h11.5v8.5H2.25zM2.25 4.5 8 9l5.75-4.5",
            Self::Microsoft => "M2.5 2.5h5v5h-5zM8.5 2.5h5v5h-5zM2.5 8.5h5v5h-5zM8.5 8.5h5v5h-5z",
            Self::More => "M3.25 8h.01M8 8h.01M12.75 8h.01",
            Self::Offline => "M8 2.25a5.75 5.75 0 1 1 0 11.5 5.75 5.75 0 0 1 0-11.5M4 4l8 8",
            Self::Pencil => "M3 13v-2.5L10.75 2.75l2.5 2.5L5.5 13zM9 4.5 11.5 7",
            Self::Print => "M4.5 6V2.5h7V6M4.5 11.25h-2V6h11v5.25h-2M4.5 9.5h7v4h-7z",
            Self::Search => "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9M10.25 10.25 13.75 13.75",
            Self::Send => "M8 13.25V3M3.75 7.25 8 3l4.25 4.25",
            Self::Stop => "M4.25 4.25h7.5v7.5h-7.5z",
            Self::Trash => "M2.75 4.25h10.5M6 4V2.5h4V4M4.25 4.5l.6 9h6.3l.6-9M6.75 7v4M9.25 7v4",
            Self::Warning => "M8 2.5 14.25 13.25H1.75zM8 6.5v3.25M8 11.25v.5",
        }
    }
}

/// A function and not a component, as are all parts that keep nothing to themselves: each component of its own costs
/// four kilobytes of the page's program.
pub fn icon(sign: Sign) -> Html {
    // A back arrow points the other way where one reads from the right.
    let class = classes!("icon", (sign == Sign::Back).then_some("icon-turns"));
    html! {
        <svg {class} viewBox="0 0 16 16" aria-hidden="true"><path d={sign.path()} /></svg>
    }
}

/// The product's mark.
pub fn mark() -> Html {
    html! {
        <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
            <path class="mark-field" d="M6 1.5h12A4.5 4.5 0 0 1 22.5 6v12a4.5 4.5 0 0 1-4.5 4.5H6A4.5 4.5 0 0 1 1.5 18V6A4.5 4.5 0 0 1 6 1.5z" />
            <path class="mark-line" d="M7 8.5 10.5 12 7 15.5M12.5 15.5H17" />
        </svg>
    }
}
