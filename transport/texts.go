// texts.go remembers limits that travel as text: callers send few of them, with every
// call.

package transport

import (
	"strings"
	"sync"

	"github.com/bucketring/bucketring"
)

// maxTexts bounds what is remembered: callers choose limits freely.
const maxTexts = 4096

// A cached map is one that starts anew when it is full. The zero value is empty.
type cached[K comparable, V any] struct {
	mu    sync.RWMutex
	known map[K]V // guarded by mu
}

func (r *cached[K, V]) get(k K) (v V, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, ok = r.known[k]
	return v, ok
}

func (r *cached[K, V]) put(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxTexts {
		r.known = map[K]V{}
	}
	r.known[k] = v
}

// A parser reads the text of limits. The zero value is ready.
type parser struct {
	texts cached[string, []bucketring.Limit]
}

// parse is bucketring.Parse. What it returns is shared, to be read only.
func (p *parser) parse(text string) ([]bucketring.Limit, error) {
	if limits, ok := p.texts.get(text); ok {
		return limits, nil
	}
	limits, err := bucketring.Parse(text)
	if err == nil {
		p.texts.put(strings.Clone(text), limits) // it may be part of a large message
	}
	return limits, err
}

// known returns what parse would, without making text of the bytes.
func (p *parser) known(text []byte) ([]bucketring.Limit, bool) {
	p.texts.mu.RLock()
	defer p.texts.mu.RUnlock()
	limits, ok := p.texts.known[string(text)]
	return limits, ok
}

// A writer writes limits as text. The zero value is ready.
type writer struct {
	texts cached[bucketring.Limit, string]
}

func (w *writer) write(limits []bucketring.Limit) string {
	if len(limits) == 1 {
		return w.one(&limits[0])
	}
	all := make([]string, len(limits))
	for i := range limits {
		all[i] = w.one(&limits[i])
	}
	return strings.Join(all, ", ")
}

func (w *writer) one(l *bucketring.Limit) string {
	if text, ok := w.texts.get(*l); ok {
		return text
	}
	text := l.String()
	w.texts.put(*l, text)
	return text
}
