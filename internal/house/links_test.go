// links_test.go checks that relative links in Markdown lead somewhere.

package house_test

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	// inline links and images, and definitions such as "[word]: target".
	inlineLink = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+["'][^)]*)?\)`)
	definition = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s+<?([^\s>]+)`)
	heading    = regexp.MustCompile(`^#{1,6}\s+(.+?)\s*#*$`)
	htmlAnchor = regexp.MustCompile(`<[a-zA-Z][^>]*\s(?:id|name)="([^"]+)"`)
	code       = regexp.MustCompile("`[^`]*`")
	linkText   = regexp.MustCompile(`!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])?`)
)

// checkLinks returns the relative links of a Markdown file that lead nowhere.
func checkLinks(house fs.FS, name string) (wrong []string) {
	text, err := fs.ReadFile(house, name)
	if err != nil {
		return []string{err.Error()}
	}
	for number, line := range proseLines(string(text)) {
		line = code.ReplaceAllString(line, "")
		links := inlineLink.FindAllStringSubmatch(line, -1)
		links = append(links, definition.FindAllStringSubmatch(line, -1)...)
		for _, link := range links {
			if msg := checkLink(house, name, link[1]); msg != "" {
				wrong = append(wrong, fmt.Sprintf("%s:%d: link %s: %s", name, number+1, link[1], msg))
			}
		}
	}
	return wrong
}

// checkLink returns what is wrong with one link, "" if nothing.
func checkLink(house fs.FS, from, link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Host != "" {
		return "" // not ours to check: a test must not need the network
	}
	target := from
	if u.Path != "" {
		target = path.Join(path.Dir(from), u.Path)
	}
	if _, err := fs.Stat(house, target); err != nil {
		return "no such file: " + target
	}
	if u.Fragment == "" || !strings.HasSuffix(target, ".md") {
		return ""
	}
	text, err := fs.ReadFile(house, target)
	if err != nil {
		return err.Error()
	}
	if !anchors(string(text))[u.Fragment] {
		return "no such heading in " + target
	}
	return ""
}

// proseLines returns the lines of a text, those of code blocks left empty.
func proseLines(text string) []string {
	lines, fence := strings.Split(text, "\n"), ""
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		switch {
		case fence != "":
			if strings.HasPrefix(trimmed, fence) {
				fence = ""
			}
			lines[i] = ""
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
			fence, lines[i] = trimmed[:3], ""
		}
	}
	return lines
}

// anchors returns what GitHub makes of the headings of a text.
func anchors(text string) map[string]bool {
	all, count := map[string]bool{}, map[string]int{}
	for _, line := range proseLines(text) {
		for _, id := range htmlAnchor.FindAllStringSubmatch(line, -1) {
			all[id[1]] = true
		}
		if h := heading.FindStringSubmatch(line); h != nil {
			s := slug(h[1])
			if count[s]++; count[s] > 1 {
				s = fmt.Sprintf("%s-%d", s, count[s]-1)
			}
			all[s] = true
		}
	}
	return all
}

// slug keeps letters, digits, "-" and "_", in lower case, and makes blanks "-".
func slug(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}
