//! Which addresses in a message may be followed, and where they truly lead.

/// The address if it may be a link: `https`, `http` or `mailto`, without a character that could hide another scheme.
pub fn followable(address: &str) -> Option<&str> {
    let address = address.trim();
    let is_clean = !address.chars().any(|c| c.is_control() || c.is_whitespace());
    let (scheme, rest) = address.split_once(':')?;
    let is_known = match scheme.to_ascii_lowercase().as_str() {
        "https" | "http" => rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty()),
        "mailto" => !rest.is_empty(),
        _ => false,
    };
    (is_clean && is_known).then_some(address)
}

/// The host of a web address, without a name, a password or a port.
pub fn host(address: &str) -> Option<&str> {
    let rest = address.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = if host.starts_with('[') {
        host.split_inclusive(']').next()?
    } else {
        host.split(':').next()?
    };
    (!host.is_empty()).then_some(host)
}

/// The host that a link leads to, where its text names another: the reader should see both.
pub fn other_host<'a>(text: &str, address: &'a str) -> Option<&'a str> {
    let text = text.trim();
    let looks_like_address = !text.contains(char::is_whitespace) && text.contains('.');
    let named = host(text).or_else(|| text.split(['/', '?', '#', ':']).next());
    let real = host(address)?;
    let bare = |host: &str| host.trim_start_matches("www.").to_ascii_lowercase();
    (looks_like_address && named.is_none_or(|named| bare(named) != bare(real))).then_some(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_and_mail_addresses_are_followed() {
        for address in ["https://a.b/c?d#e", "HTTP://a.b", "mailto:ana@example.org"] {
            assert_eq!(followable(address), Some(address));
        }
        for address in [
            "javascript:alert(1)",
            "JaVaScRiPt:x",
            "java\nscript:x",
            "data:text/html,x",
            "/path",
            "x",
            "https:",
            "https://",
            "file:///etc",
            "https://a b",
        ] {
            assert_eq!(followable(address), None, "{address}");
        }
    }

    #[test]
    fn a_link_that_names_another_host_tells_the_real_one() {
        assert_eq!(
            other_host("https://bank.example", "https://evil.example/x"),
            Some("evil.example")
        );
        assert_eq!(
            other_host("bank.example", "https://user@evil.example:8080/x"),
            Some("evil.example")
        );
        assert_eq!(
            other_host("https://bank.example/a", "https://www.bank.example/b"),
            None
        );
        assert_eq!(other_host("the bank", "https://evil.example"), None);
    }
}
