//! From the parser's events to nodes: a stack of open elements, each closed into one node of its parent.

use super::address;
use super::code::Code;
use pulldown_cmark::{Alignment, CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TextMergeStream};
use yew::prelude::*;
use yew::virtual_dom::VText;

/// The nodes of one block of text.
pub fn nodes(source: &str, is_growing: bool) -> Html {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut builder = Builder {
        is_growing,
        ..Builder::default()
    };
    for event in TextMergeStream::new(Parser::new_ext(source, options)) {
        builder.take(event);
    }
    // What a cut source leaves open is closed as it stands.
    while let Some(open) = builder.open.pop() {
        let node = builder.close(open);
        builder.push(node);
    }
    builder.done.into_iter().collect()
}

struct Open<'a> {
    tag: Tag<'a>,
    children: Vec<Html>,
    /// The plain text within, for code, pictures and links.
    text: String,
}

#[derive(Default)]
struct Builder<'a> {
    open: Vec<Open<'a>>,
    done: Vec<Html>,
    is_growing: bool,
    is_table_head: bool,
    alignments: Vec<Alignment>,
    column: usize,
}

impl<'a> Builder<'a> {
    fn push(&mut self, node: Html) {
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.done.push(node),
        }
    }

    fn write(&mut self, text: &str) {
        for open in &mut self.open {
            open.text.push_str(text);
        }
        let is_kept_apart = self
            .open
            .iter()
            .any(|open| matches!(open.tag, Tag::CodeBlock(_) | Tag::Image { .. }));
        if !is_kept_apart {
            self.push(VText::new(text.to_owned()).into());
        }
    }

    fn take(&mut self, event: Event<'a>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(_) => {
                if let Some(open) = self.open.pop() {
                    let node = self.close(open);
                    self.push(node);
                }
            }
            // The last three are of extensions that are switched off.
            Event::Text(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::FootnoteReference(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text) => self.write(&text),
            Event::Code(text) => {
                for open in &mut self.open {
                    open.text.push_str(&text);
                }
                self.push(html! { <code dir="ltr">{ text.to_string() }</code> });
            }
            Event::SoftBreak => self.write("\n"),
            Event::HardBreak => self.push(html! { <br /> }),
            Event::Rule => self.push(html! { <hr /> }),
            Event::TaskListMarker(is_done) => self.push(html! {
                <input type="checkbox" disabled=true checked={is_done} aria-label={if is_done { "Done" } else { "Open" }} />
            }),
        }
    }

    fn start(&mut self, tag: Tag<'a>) {
        if let Tag::Table(alignments) = &tag {
            self.alignments.clone_from(alignments);
        }
        if matches!(tag, Tag::TableHead | Tag::TableRow) {
            self.is_table_head = tag == Tag::TableHead;
            self.column = 0;
        }
        self.open.push(Open {
            tag,
            children: Vec::new(),
            text: String::new(),
        });
    }

    fn close(&mut self, open: Open<'a>) -> Html {
        let Open { tag, children, text } = open;
        if matches!(tag, Tag::Table(_)) {
            return table(children);
        }
        let inner: Html = children.into_iter().collect();
        match tag {
            Tag::Paragraph => html! { <p dir="auto">{ inner }</p> },
            Tag::Heading { level, .. } => heading(level, inner),
            Tag::BlockQuote(_) => html! { <blockquote dir="auto">{ inner }</blockquote> },
            Tag::CodeBlock(kind) => code(kind, text, self.is_growing),
            Tag::HtmlBlock => html! { <p class="raw" dir="auto">{ inner }</p> },
            Tag::List(None) => html! { <ul dir="auto">{ inner }</ul> },
            Tag::List(Some(first)) => html! { <ol dir="auto" start={first.to_string()}>{ inner }</ol> },
            Tag::Item => html! { <li dir="auto">{ inner }</li> },
            Tag::TableHead => html! { <thead><tr>{ inner }</tr></thead> },
            Tag::TableRow => html! { <tr>{ inner }</tr> },
            Tag::TableCell => self.cell(inner),
            Tag::Emphasis => html! { <em>{ inner }</em> },
            Tag::Strong => html! { <strong>{ inner }</strong> },
            Tag::Strikethrough => html! { <s>{ inner }</s> },
            Tag::Link { dest_url, .. } => link(&dest_url, &text, inner),
            Tag::Image { dest_url, .. } => picture(&dest_url, &text),
            // Extensions that are switched off: their text alone.
            Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_)
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Table(_) => inner,
        }
    }

    fn cell(&mut self, inner: Html) -> Html {
        let class = match self.alignments.get(self.column) {
            Some(Alignment::Right) => Some("to-end"),
            Some(Alignment::Center) => Some("to-middle"),
            Some(Alignment::Left | Alignment::None) | None => None,
        };
        self.column += 1;
        if self.is_table_head {
            html! { <th dir="auto" scope="col" {class}>{ inner }</th> }
        } else {
            html! { <td dir="auto" {class}>{ inner }</td> }
        }
    }
}

/// The rows after the head stand in a body of their own: a browser would add one, and then find other nodes than were sent.
fn table(children: Vec<Html>) -> Html {
    let mut parts = children.into_iter();
    let head = parts.next().unwrap_or_default();
    html! {
        <div class="wide" tabindex="0" role="group" aria-label="Table">
            <table>{ head }<tbody>{ for parts }</tbody></table>
        </div>
    }
}

/// The page's own headings stand above those of a message.
fn heading(level: HeadingLevel, inner: Html) -> Html {
    match level {
        HeadingLevel::H1 => html! { <h3 class="level-1" dir="auto">{ inner }</h3> },
        HeadingLevel::H2 => html! { <h4 class="level-2" dir="auto">{ inner }</h4> },
        HeadingLevel::H3 => html! { <h5 class="level-3" dir="auto">{ inner }</h5> },
        HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => {
            html! { <h6 class="level-3" dir="auto">{ inner }</h6> }
        }
    }
}

fn code(kind: CodeBlockKind<'_>, text: String, is_growing: bool) -> Html {
    let language = match kind {
        CodeBlockKind::Fenced(info) => info.split([' ', ',', '{']).next().unwrap_or_default().to_owned(),
        CodeBlockKind::Indented => String::new(),
    };
    html! { <Code text={AttrValue::from(text)} language={AttrValue::from(language)} {is_growing} /> }
}

fn link(address: &str, text: &str, inner: Html) -> Html {
    let Some(href) = address::followable(address) else {
        return inner;
    };
    let real = address::other_host(text, href);
    html! {
        <>
            <a href={href.to_owned()} target="_blank" rel="noopener noreferrer" data-outside="">{ inner }</a>
            if let Some(real) = real {
                <span class="real-host" dir="ltr">{ format!(" ({real})") }</span>
            }
        </>
    }
}

/// A picture from elsewhere would tell its host who reads what: it is named instead.
fn picture(address: &str, description: &str) -> Html {
    let what = if description.is_empty() {
        "Picture"
    } else {
        description
    };
    let Some(href) = address::followable(address) else {
        return html! { <span class="picture">{ what.to_owned() }</span> };
    };
    let from = address::host(href).unwrap_or_default().to_owned();
    html! {
        <span class="picture">
            { what.to_owned() }{ " · " }
            <a href={href.to_owned()} target="_blank" rel="noopener noreferrer" data-outside="">
                { "open at " }<bdi dir="ltr">{ from }</bdi>
            </a>
        </span>
    }
}
