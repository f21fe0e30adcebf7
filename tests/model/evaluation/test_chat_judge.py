"""The judge's protocol against an HTTP server in this process."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from model.evaluation import chat_judge
from model.evaluation.chat_judge import ChatJudge, JudgeError, points
from model.evaluation.replies import Opening, Reply

REPLIES = [
    Reply(Opening(f"I like {thing}.", "happy", "", "warm"), "", f"You like {thing}, then.", "warm")
    for thing in ("tea", "rain", "cats", "dogs", "jazz", "bread", "maps", "ships", "bees")
]


class Endpoint(ThreadingHTTPServer):
    """Gives 5 points where the answer holds the last word of what was said, else 1; remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.broken, self.reply = [], 0, None
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.asked.append((self.path, dict(self.headers), body))
        if len(server.asked) <= server.broken:
            self.answer(500, b'{"error": "overloaded"}')
            return
        said, _, answer = body["messages"][1]["content"].split("\n")
        fits = 5 if said.split()[-1].strip(".") in answer else 1
        text = f'Sure.\n```json\n{{"fits": {fits}, "warmth": 3, "natural": 4}}\n```'
        content = server.reply if server.reply is not None else text
        self.answer(200, json.dumps({"choices": [{"message": {"content": content}}]}).encode())

    def answer(self, status, data):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_own_replies_and_shuffled_ones_are_judged_blind(endpoint):
    found = chat_judge.evaluate(ChatJudge(endpoint.url + "/", "grader", "secret"), REPLIES)
    assert found["own"] == {"rated": 9, "fits": 5.0, "warmth": 3.0, "natural": 4.0, "accepted": 1.0}
    assert (found["shuffled"]["fits"], found["shuffled"]["accepted"], found["failed"]) == (1.0, 0.0, 0)
    path, headers, body = endpoint.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert (body["model"], body["temperature"]) == ("grader", 0)
    shown = [asked["messages"][1]["content"] for _, _, asked in endpoint.asked]
    assert len(set(shown)) == 18
    assert not any(word in one for one in shown for word in ("shuffled", "own", "baseline"))
    openings = [one.split("\n")[0] for one in shown]
    assert openings[:9] != [f"The person said: {reply.opening.said}" for reply in REPLIES]


def test_a_judge_that_stumbles_is_asked_again(endpoint):
    endpoint.broken = 2
    assert ChatJudge(endpoint.url, "m").rate("I like tea.", "happy", "Tea it is.")["fits"] in (1, 5)
    assert len(endpoint.asked) == 3
    assert "Authorization" not in endpoint.asked[0][1]


def test_a_judge_that_fails_says_why(endpoint):
    endpoint.broken = 99
    with pytest.raises(JudgeError, match=r"said 500.*overloaded"):
        chat_judge.evaluate(ChatJudge(endpoint.url, "m"), REPLIES)
    assert len(endpoint.asked) == chat_judge.TRIES
    with pytest.raises(JudgeError, match="cannot be reached"):
        ChatJudge("http://127.0.0.1:9/v1", "m").rate("a", "sad", "b")
    with pytest.raises(JudgeError, match="no address"):
        ChatJudge("file:///etc/passwd", "m")


def test_answers_without_points_are_counted(endpoint):
    judge = ChatJudge(endpoint.url, "m")
    endpoint.reply = "I would rather not."
    with pytest.raises(JudgeError, match="rather not"):
        judge.rate("a", "sad", "b")


@pytest.mark.parametrize(
    "text",
    ['{"fits": 6, "warmth": 1, "natural": 1}', '{"fits": 3, "warmth": 3}', '{"fits": "3", "warmth": 3, "natural": 3}',
     '{"fits": true, "warmth": 3, "natural": 3}', "{", ""],
)  # fmt: skip
def test_points_must_be_whole_and_in_range(text):
    with pytest.raises(JudgeError):
        points(text)


def test_points_are_found_among_words():
    text = 'Thinking {of it} ... {"fits": 2, "warmth": 1, "natural": 5, "why": "x"} done'
    assert points(text) == {"fits": 2, "warmth": 1, "natural": 5}
