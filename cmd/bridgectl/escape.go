package main

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown bounds, in bytes, how much of one text of others is printed.
const maxShown = 256

// shown returns text as a terminal may get it. Names, custom values and
// documents are chosen by others, and a terminal obeys control characters: what
// is not plainly printable is quoted, and what is long is cut.
func shown(text string) string {
	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable) {
		return cut(strconv.Quote(text))
	}
	return cut(text)
}

// word is shown for a place in a line of words and fields: a text that could be taken for
// several of them is quoted too.
func word(text string) string {
	if strings.ContainsAny(text, " =?,") && !strings.ContainsFunc(text, unprintable) {
		return cut(strconv.Quote(text))
	}
	return shown(text)
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) || r == '"' || r == '\\' }

func cut(text string) string {
	if len(text) <= maxShown {
		return text
	}
	end := maxShown
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// clean returns text with a mark in the place of what is not printable.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// lines returns an error's text, safe to print line by line.
func lines(err error) []string {
	list := strings.Split(err.Error(), "\n")
	for i := range list {
		list[i] = clean(list[i])
	}
	return list
}

// firstLine is the first line of a text, marked where there are more.
func firstLine(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if line = clean(line); more {
		line += " …"
	}
	return line
}
