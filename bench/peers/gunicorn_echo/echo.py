"""The least Falcon app that reads an event and answers."""

import falcon


class Echo:
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        response.data = request.bounded_stream.read()
        response.content_type = falcon.MEDIA_JSON


app = falcon.App()
app.add_route("/events", Echo())
