// names.go says what keys are called where operators look, and which are hot.

package main

import (
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/node"
)

// nameKeys sets how the log and top call keys.
func (s *server) nameKeys() (err error) {
	if s.names, err = s.keys.KeyNames(); err != nil {
		return err
	}
	if s.cfg.LogKeys {
		s.log.Warn("log-keys: keys of callers are shown as they are, in this log and by top --keys")
	}
	return nil
}

// inLog is what the log calls a key.
func (s *server) inLog(key string) string {
	if s.cfg.LogKeys {
		return key
	}
	return s.names(key)
}

// top is what the admin listener tells of hot keys.
func (s *server) top(count int, clear bool) httpapi.Top {
	hot := s.node.Hot(count)
	shown := func(keys []node.HotKey) (all []httpapi.TopKey) {
		for _, k := range keys {
			if !clear {
				k.Key = s.names(k.Key)
			}
			all = append(all, httpapi.TopKey{Namespace: k.Namespace, Limit: k.Limit, Key: k.Key, Takes: k.Takes, Denied: k.Denied, Over: k.Over})
		}
		return all
	}
	return httpapi.Top{
		Node: s.cfg.NodeName, Seconds: hot.Within.Seconds(), Clear: clear, Hottest: shown(hot.Taken), MostDenied: shown(hot.Denied),
	}
}
