package api

type pages struct{}

func newPages(string) (*pages, error) { return &pages{}, nil }
func (x *exchange) home() *problem    { return notFound(x.path) }
func (x *exchange) docs() *problem    { return notFound(x.path) }
func (x *exchange) openAPI() *problem { return notFound(x.path) }
