package outbound

import (
	"html"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// markup is what a service makes of the text it gets.
type markup uint8

const (
	plain      markup = iota
	markdown          // \ takes the meaning of the next mark
	slack             // &, < and > are entities; marks cannot be escaped
	angles            // <...> has a meaning; nothing can be escaped
	unknown           // whatever is behind a hook: only mentions, links and tags are parted
	htmlText          // HTML
	telegramV1        // Telegram's first Markdown
	telegramV2        // and its second, which is stricter
)

func markupOf(u *url.URL) markup {
	scheme, _, _ := strings.Cut(strings.ToLower(u.Scheme), "+")
	switch scheme {
	case "slack":
		return slack
	case "googlechat", "hangouts":
		return angles
	case "discord", "mattermost", "rocketchat", "teams", "zulip", "lark", "wecom", "gotify", "ntfy", "pushbullet":
		return markdown
	case "generic":
		return unknown
	case "telegram":
		return telegramMarkup(u.Query())
	case "smtp":
		if yes(option(u.Query(), "usehtml")) {
			return htmlText
		}
	}
	return plain
}

func telegramMarkup(q url.Values) markup {
	switch strings.ToLower(option(q, "parsemode")) {
	case "html":
		return htmlText
	case "markdown":
		return telegramV1
	case "markdownv2":
		return telegramV2
	}
	return plain
}

// option looks a key up as shoutrrr does, in any case.
func option(q url.Values, key string) string {
	for k, values := range q {
		if strings.EqualFold(k, key) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

func yes(text string) bool {
	switch strings.ToLower(text) {
	case "true", "yes", "1":
		return true
	}
	return false
}

// maxText is how many characters of a publisher's text are shown.
const maxText = 200

// Text makes what a publisher wrote safe to be a part of a message: it is one line, mentions
// nobody, links nowhere and is no markup of the service. What is behind a generic hook has to escape for its own.
func (s *Shout) Text(user string) string { return s.markup.escape(user) }

func (m markup) escape(user string) string {
	user = clean(user)
	noAngles := strings.NewReplacer("<", "‹", ">", "›")
	switch m {
	case slack:
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(quiet(user, "*_~`"))
	case angles:
		return noAngles.Replace(quiet(user, "*_~`"))
	case unknown:
		return strings.ReplaceAll(quiet(user, ""), "<", "<"+zeroWidth)
	case markdown:
		return noAngles.Replace(backslashed(quiet(user, ""), "\\`*_{}[]()#+-.!|~"))
	case htmlText:
		return html.EscapeString(quiet(user, ""))
	case telegramV1:
		return backslashed(quiet(user, ""), "_*`[")
	case telegramV2:
		return backslashed(quiet(user, ""), "\\_*[]()~`>#+-=|{}.!")
	}
	return quiet(user, "")
}

// clean drops what cannot be seen, and what would break the line or turn its direction.
func clean(text string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		if n++; n > maxText {
			b.WriteRune('…')
			break
		}
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case unicode.IsSpace(r) || unicode.IsControl(r):
			b.WriteByte(' ')
		}
	}
	return strings.TrimSpace(b.String())
}

const zeroWidth = "\u200B"

// quiet parts what services take for mentions and links, and the characters of marks, by a space of no width.
func quiet(text, marks string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '@' || r == '#':
			b.WriteRune(r)
			b.WriteString(zeroWidth)
		case strings.ContainsRune(marks, r):
			b.WriteString(zeroWidth)
			b.WriteRune(r)
		case r == '/' && strings.HasPrefix(text[i:], "//"):
			b.WriteString(zeroWidth)
			b.WriteRune(r)
		case r == '.' && letterFollows(text[i+1:]): // names of hosts are links to some clients
			b.WriteRune(r)
			b.WriteString(zeroWidth)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func letterFollows(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return unicode.IsLetter(r)
}

// backslashed puts a backslash before each of the marks.
func backslashed(text, marks string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(marks, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
